// A worker of bee-queue that begins a job, says so, and never ends it: bee_queue.mjs kills it.

import Queue from 'bee-queue';

const queue = new Queue(process.argv[3], { redis: { host: '127.0.0.1', port: Number(process.argv[2]) }, stallInterval: 100 });
queue.process(() => {
  process.send('begun');
  return new Promise(() => {});
});
