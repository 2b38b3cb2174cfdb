// Adds jobs to the queue, a thousand in one pipeline: node bullmq_producer.js SOCKET COUNT
'use strict';

const { Queue } = require('bullmq');
const { customer, event } = require('./event');

const BULK = 1000;
const [path, count] = [process.argv[2], Number(process.argv[3])];
const opts = { attempts: 10, backoff: { type: 'exponential', delay: 1000 }, removeOnComplete: true };

function job(number) {
  return { name: 'track', data: { customer: customer(number), event: event(number) }, opts };
}

async function main() {
  const queue = new Queue('track', { connection: { path } });
  for (let first = 0; first < count; first += BULK) {
    const size = Math.min(BULK, count - first);
    await queue.addBulk(Array.from({ length: size }, (_, i) => job(first + i)));
  }
  await queue.close();
}

main();
