// bee-queue, with the client of node-redis 3 inside: jobs, progress, retries, delays, stalled jobs.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import Queue from 'bee-queue';
import { done, eventually, port, promise, say, until } from './story.mjs';

const options = { redis: { host: '127.0.0.1', port }, activateDelayedJobs: true, stallInterval: 100, nearTermWindow: 1000 };
const finished = (job) => Promise.race([
  until(job, 'succeeded').then(([result]) => result),
  until(job, 'failed').then(([error]) => `failed: ${error.message}`),
]);

const queue = new Queue('plain', options);
await queue.ready();
const jobs = [1, 2, 3].map((x) => queue.createJob({ x }));
const results = jobs.map(finished);
const progress = until(jobs[0], 'progress');
say('not saved', (await queue.saveAll(jobs)).size);
say('health', (await queue.checkHealth()).waiting);
queue.process(2, async (job) => {
  job.reportProgress({ half: job.data.x });
  return job.data.x ** 2;
});
say('results', await Promise.all(results));
say('progress', await progress);
say('health', await queue.checkHealth());
say('by id', (await queue.getJob(jobs[1].id)).status);
say('a job with its own id', [
  (await queue.createJob({ x: 9 }).setId('mine').save()).id,
  (await queue.createJob({ x: 9 }).setId('mine').save()).id,
]);
await queue.close();

const retried = new Queue('retried', options);
const made = {};
retried.process(async (job) => {
  made[job.data] = (made[job.data] ?? 0) + 1;
  if (made[job.data] < 3 || job.data === 'vain') throw new Error(`attempt ${made[job.data]}`);
  return made[job.data];
});
const immediate = await retried.createJob('immediate').retries(3).save();
say('at once', await finished(immediate));
const fixed = await retried.createJob('fixed').retries(3).backoff('fixed', 20).save();
say('fixed', await finished(fixed));
const vain = await retried.createJob('vain').retries(1).save();
say('in vain', await until(vain, 'failed').then(([error]) => error.message));
say('failed', (await retried.checkHealth()).failed);
await retried.removeJob(vain.id);
say('removed', await retried.getJob(vain.id));
await retried.close();

const delayed = new Queue('delayed', options);
const order = [];
const both = promise();
delayed.process(async (job) => {
  if (order.push(job.data) === 2) both.resolve();
});
await delayed.createJob('late').delayUntil(Date.now() + 200).save();
await delayed.createJob('soon').delayUntil(Date.now() + 60).save();
await both.settled;
say('by time', order);
await delayed.close();

const stalled = new Queue('stalled', options);
const job = await stalled.createJob('work').save();
const victim = fork(fileURLToPath(new URL('bee_queue_victim.mjs', import.meta.url)), [String(port), 'stalled']);
await until(victim, 'message');
victim.kill('SIGKILL');
await until(victim, 'exit');
say('killed with', (await stalled.checkHealth()).active);
const saved = finished(job);
stalled.process(async (job) => `${job.data} by another`);
stalled.checkStalledJobs(100);
say('stalled', await saved);
await eventually(() => stalled.checkHealth(), (health) => health.active === 0);
say('destroyed', await stalled.destroy().then(() => 'yes'));
done();
