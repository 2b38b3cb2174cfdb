// Sends each job as one request, 64 at a time over as many kept connections: node bullmq_worker.js SOCKET PORT. Says "ready", ends with SIGTERM.
'use strict';

const http = require('http');
const { Worker } = require('bullmq');

const IN_FLIGHT = 64;
const [path, port] = [process.argv[2], Number(process.argv[3])];
const agent = new http.Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
const authorization = 'Basic ' + Buffer.from('bench:bench').toString('base64');

function post({ customer, event }) {
  const body = JSON.stringify(event);
  const headers = { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body), Authorization: authorization };
  const options = { agent, headers, host: '127.0.0.1', port, method: 'POST', path: `/api/v1/customers/${customer}/events`, timeout: 10000 };
  return new Promise((resolve, reject) => {
    const request = http.request(options, (response) => {
      response.resume();
      response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`))));
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', reject);
    request.end(body);
  });
}

async function main() {
  const connection = { path, maxRetriesPerRequest: null };
  const worker = new Worker('track', (job) => post(job.data), { connection, concurrency: IN_FLIGHT });
  worker.on('error', (error) => console.error(error));
  await worker.waitUntilReady();
  console.log('ready');
}

main();
