// A worker of BullMQ that begins a job, says so, and never ends it: bullmq.mjs kills it.

import { Worker } from 'bullmq';

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null };
new Worker(process.argv[3], () => {
  process.send('begun');
  return new Promise(() => {});
}, { connection, lockDuration: 300, skipLockRenewal: true, skipStalledCheck: true });
