// A worker of Bull that begins a job, says so, and never ends it: bull.mjs kills it.

import Bull from 'bull';

const queue = new Bull(process.argv[3], {
  redis: { host: '127.0.0.1', port: Number(process.argv[2]) },
  settings: { lockDuration: 300, lockRenewTime: 100_000 },
});
queue.process(() => {
  process.send('begun');
  return new Promise(() => {});
});
