// Bull, BullMQ's elder: jobs, delays, retries, repeats, a rate limit, a job of a worker that was killed.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import Bull from 'bull';
import { done, port, promise, refusal, say, until } from './story.mjs';

const redis = { host: '127.0.0.1', port };

async function part(name, options, story) {
  const queue = new Bull(name, { redis, ...options });
  await queue.isReady();
  await story(queue);
  await queue.close();
}

await part('plain', {}, async (queue) => {
  const jobs = await queue.addBulk([1, 2, 3].map((x) => ({ name: 'square', data: { x } })));
  const own = await queue.add('square', { x: 4 }, { jobId: 'mine' });
  await queue.add('square', { x: 5 }, { jobId: 'mine' });
  say('waiting', await queue.getJobCounts());
  queue.process('square', 2, async (job) => {
    await job.progress(42);
    await job.log('seen');
    return job.data.x ** 2;
  });
  say('results', await Promise.all([...jobs, own].map((job) => job.finished())));
  say('a log', await queue.getJobLogs(own.id));
  say('counts', await queue.getJobCounts());
  say('cleaned', (await queue.clean(0, 'completed', 2)).length);
  await queue.pause();
  await queue.add('square', { x: 6 });
  say('paused', await queue.getJobCounts());
  await queue.empty();
  await queue.resume();
  await queue.obliterate({ force: true });
  say('obliterated', await queue.getJobCounts());
});

await part('order', {}, async (queue) => {
  const order = [];
  await queue.pause();
  for (const priority of [3, 1, 2, 1]) await queue.add({ priority }, { priority });
  await queue.add({ priority: 'none' });
  await queue.add({ priority: 'last in' }, { lifo: true });
  const all = promise();
  queue.process((job) => {
    if (order.push(job.data.priority) === 6) all.resolve();
  });
  await queue.resume();
  await all.settled;
  say('by priority', order);
});

await part('retries', { settings: { backoffStrategies: { own: (made) => made * 5 } } }, async (queue) => {
  queue.process((job) => {
    if (job.attemptsMade < 2 || job.data.word === 'vain') throw new Error(`attempt ${job.attemptsMade}`);
    return job.attemptsMade;
  });
  const retried = (word, opts) => queue.add({ word }, { attempts: 3, ...opts });
  say('at once', await (await retried('a')).finished());
  say('fixed', await (await retried('b', { backoff: 20 })).finished());
  say('exponential', await (await retried('c', { backoff: { type: 'exponential', delay: 10 } })).finished());
  say('custom', await (await retried('d', { backoff: { type: 'own' } })).finished());
  const vain = await retried('vain');
  say('in vain', await refusal(vain.finished()));
  say('failed', await vain.getState());
  await vain.retry();
  say('once more', await refusal(vain.finished()));
  await vain.remove();
  say('removed', await queue.getJob(vain.id));
});

await part('delayed', { settings: { guardInterval: 50 } }, async (queue) => {
  const order = [];
  queue.process((job) => void order.push(job.data.word));
  const late = await queue.add({ word: 'late' }, { delay: 150 });
  const soon = await queue.add({ word: 'soon' }, { delay: 50 });
  const year = await queue.add({ word: 'in a year' }, { delay: 365 * 86400 * 1000 });
  await Promise.all([late.finished(), soon.finished()]);
  await year.promote();
  await year.finished();
  say('by time', order);
});

await part('repeated', { settings: { guardInterval: 50 } }, async (queue) => {
  const all = promise();
  let runs = 0;
  queue.process(() => {
    if (++runs === 3) all.resolve();
  });
  await queue.add({}, { repeat: { every: 60, limit: 3 } });
  await queue.add('cron', {}, { repeat: { cron: '0 3 1 1 *' } });
  await all.settled;
  const cron = (await queue.getRepeatableJobs()).filter((job) => job.cron);
  say('repeated', [runs, cron.map((job) => [job.name, job.cron])]);
  await queue.removeRepeatableByKey(cron[0].key);
  say('no more', (await queue.getRepeatableJobs()).filter((job) => job.cron).length);
});

await part('limited', { limiter: { max: 2, duration: 200 }, settings: { guardInterval: 50 } }, async (queue) => {
  const began = [];
  const all = promise();
  queue.process(() => {
    if (began.push(Date.now()) === 5) all.resolve();
  });
  await queue.addBulk([1, 2, 3, 4, 5].map((data) => ({ data })));
  await all.settled;
  say('two a window', began[4] - began[0] >= 300);
});

await part('stalled', { settings: { stalledInterval: 200, lockDuration: 1000 } }, async (queue) => {
  const job = await queue.add({ word: 'work' });
  const victim = fork(fileURLToPath(new URL('bull_victim.mjs', import.meta.url)), [String(port), 'stalled']);
  await until(victim, 'message');
  victim.kill('SIGKILL');
  await until(victim, 'exit');
  say('killed with', await job.getState());
  const stalled = until(queue, 'stalled');
  queue.process((job) => `${job.data.word} by another`);
  await stalled;
  say('stalled', await job.finished());
});

done();
