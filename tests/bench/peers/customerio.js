// The official library without anything around it, 64 requests in flight: node customerio.js PORT COUNT. Says "ready", begins with SIGUSR2
// and stays until SIGTERM, so that its memory and CPU time can be read.
'use strict';

const { TrackClient } = require('customerio-node');
const { customer, event } = require('./event');

const IN_FLIGHT = 64;
const [port, count] = [process.argv[2], Number(process.argv[3])];
const client = new TrackClient('bench', 'bench', { url: `http://127.0.0.1:${port}/api/v1` });
let next = 0;

async function sendInTurns() {
  while (next < count) {
    const number = next++;
    await client.track(customer(number), event(number));
  }
}

process.on('SIGUSR2', () => {
  for (let i = 0; i < IN_FLIGHT; ++i) sendInTurns();
});
setInterval(() => {}, 1000);
console.log('ready');
