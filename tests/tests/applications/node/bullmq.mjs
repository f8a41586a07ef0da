// BullMQ: what its users do with queues, workers, flows and schedulers.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } from 'bullmq';
import { done, port, promise, refusal, say, until } from './story.mjs';

const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const redis = new Redis(connection);
const names = (jobs) => jobs.map((job) => job.name);

// Each part has a queue, its events, and workers of its own; all are closed at its end.
async function part(name, options, story) {
  const queue = new Queue(name, { connection, ...options });
  const events = new QueueEvents(name, { connection, lastEventId: '0-0' });
  // Whoever reads from the end misses what happens before the first XREAD.
  events.setMaxListeners(0);
  queue.setMaxListeners(0);
  await events.waitUntilReady();
  const workers = [];
  const work = (process, more) => {
    const worker = new Worker(name, process, { connection, ...more });
    worker.on('error', (error) => say('a worker fails', error.message));
    workers.push(worker);
    return worker;
  };
  await story(queue, events, work);
  await Promise.all(workers.map((worker) => worker.close()));
  await events.close();
  await queue.close();
}

await part('plain', {}, async (queue, events, work) => {
  const first = await queue.add('one', { x: 1 });
  say('the first job is', [first.id, await first.getState()]);
  const bulk = await queue.addBulk([2, 3, 4, 5].map((x) => ({ name: `n${x}`, data: { x } })));
  say('jobs of a bulk', bulk.map((job) => job.id));
  say('a job by its own id', (await queue.add('own', { x: 6 }, { jobId: 'mine' })).id);
  await queue.add('own', { x: 7 }, { jobId: 'mine' });
  say('waiting', await queue.getJobCounts());
  const drained = until(events, 'drained');
  const order = [];
  const worker = work(async (job) => {
    order.push(job.name);
    await job.updateProgress(50);
    await job.log(`square of ${job.data.x}`);
    return job.data.x ** 2;
  });
  say('result', await first.waitUntilFinished(events));
  await drained;
  await Promise.all(bulk.map((job) => job.waitUntilFinished(events)));
  say('order', order);
  say('counts', await queue.getJobCounts());
  const job = await queue.getJob('mine');
  say('a job', [job.returnvalue, job.progress, job.attemptsMade, await job.getState()]);
  say('its log', await queue.getJobLogs('mine'));
  say('cleaned', (await queue.clean(0, 3, 'completed')).length);
  await worker.pause();
  await queue.pause();
  await queue.add('paused', {});
  say('paused', [await queue.isPaused(), await queue.getJobCounts('paused', 'waiting')]);
  await queue.resume();
  await queue.drain();
  say('drained', await queue.count());
  say('removed', await queue.remove('mine'));
  await queue.obliterate({ force: true });
  say('obliterated', (await redis.keys('bull:plain:*')).sort());
});

await part('many', {}, async (queue, events, work) => {
  const count = 500;
  const seen = new Map();
  const all = promise();
  work(async (job) => {
    seen.set(job.data, (seen.get(job.data) ?? 0) + 1);
    if (seen.size === count) all.resolve();
    return job.data;
  }, { concurrency: 20 });
  work(async (job) => {
    seen.set(job.data, (seen.get(job.data) ?? 0) + 1);
    if (seen.size === count) all.resolve();
    return job.data;
  }, { concurrency: 20 });
  const jobs = [];
  for (let at = 0; at < count; at += 100) {
    jobs.push(...await queue.addBulk(Array.from({ length: 100 }, (_, i) => ({ name: 'j', data: at + i }))));
  }
  await all.settled;
  const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
  say('many, each once', results.every((result, i) => result === i) && [...seen.values()].every((n) => n === 1));
  say('many', await queue.getJobCounts('completed', 'active', 'waiting', 'failed'));
});

await part('retries', {}, async (queue, events, work) => {
  const attempts = {};
  work(async (job) => {
    attempts[job.name] = (attempts[job.name] ?? 0) + 1;
    if (job.name === 'never') throw new UnrecoverableError('no use');
    if (job.attemptsMade < 2 || job.name === 'vain') throw new Error(`attempt ${job.attemptsMade}`);
    return 'third';
  }, { settings: { backoffStrategy: (made) => made * 3 } });
  const jobs = await queue.addBulk([
    { name: 'fixed', data: 0, opts: { attempts: 3, backoff: { type: 'fixed', delay: 20 } } },
    { name: 'exponential', data: 0, opts: { attempts: 3, backoff: { type: 'exponential', delay: 10 } } },
    { name: 'custom', data: 0, opts: { attempts: 3, backoff: { type: 'custom' } } },
    { name: 'at once', data: 0, opts: { attempts: 3 } },
    { name: 'vain', data: 0, opts: { attempts: 2, backoff: 5 } },
    { name: 'never', data: 0, opts: { attempts: 5 } },
  ]);
  for (const job of jobs) {
    say(`retried ${job.name}`, [await refusal(job.waitUntilFinished(events)), attempts[job.name]]);
  }
  say('failed', names(await queue.getFailed()).sort());
  const vain = jobs[4];
  const again = until(events, 'waiting', ({ jobId }) => jobId === vain.id);
  await queue.retryJobs({ count: 10, state: 'failed' });
  await again;
  say('retried by hand', await refusal(vain.waitUntilFinished(events)));
});

await part('priorities', {}, async (queue, _events, work) => {
  const order = [];
  await queue.addBulk([3, 1, 2, undefined, 1].map((priority, i) => ({ name: `${priority}-${i}`, data: 0, opts: { priority } })));
  const changed = await queue.add('raised', 0, { priority: 9 });
  await changed.changePriority({ priority: 1, lifo: true });
  say('prioritized', [await queue.getJobCounts('prioritized', 'waiting'), await queue.getCountsPerPriority([0, 1, 2, 3])]);
  await queue.add('last in', 0, { lifo: true });
  const worker = work(async (job) => order.push(job.name), { autorun: false });
  const drained = until(worker, 'drained');
  worker.run();
  await drained;
  say('by priority', order);
});

await part('delayed', {}, async (queue, events, work) => {
  const order = [];
  const late = await queue.add('late', 0, { delay: 120 });
  const soon = await queue.add('soon', 0, { delay: 40 });
  const year = await queue.add('in a year', 0, { delay: 365 * 86400 * 1000 });
  const moved = await queue.add('moved', 0, { delay: 365 * 86400 * 1000 });
  say('delayed', await queue.getJobCounts('delayed', 'waiting'));
  work(async (job) => order.push(job.name));
  await Promise.all([late.waitUntilFinished(events), soon.waitUntilFinished(events)]);
  await moved.changeDelay(10);
  await moved.waitUntilFinished(events);
  await year.promote();
  await year.waitUntilFinished(events);
  say('by time', order);
});

await part('flow', {}, async (queue, events, work) => {
  const flows = new FlowProducer({ connection });
  work(async (job) => {
    if (job.name === 'broken') throw new Error('broken');
    const children = Object.values(await job.getChildrenValues());
    return children.reduce((sum, value) => sum + value, job.data.x);
  }, { concurrency: 3 });
  const leaf = (x) => ({ name: `leaf${x}`, queueName: 'flow', data: { x } });
  const tree = await flows.add({
    name: 'root', queueName: 'flow', data: { x: 1000 },
    children: [
      { name: 'left', queueName: 'flow', data: { x: 100 }, children: [leaf(1), leaf(2), leaf(3)] },
      leaf(10), leaf(20),
    ],
  });
  say('a flow', await tree.job.waitUntilFinished(events));
  say('its dependencies', await tree.job.getDependenciesCount());
  const seen = await flows.getFlow({ id: tree.job.id, queueName: 'flow' });
  say('as a tree', [names(seen.children.map((child) => child.job)).sort(), seen.job.name]);
  const failing = await flows.add({
    name: 'root', queueName: 'flow', data: { x: 0 },
    children: [
      { name: 'broken', queueName: 'flow', data: { x: 0 }, opts: { failParentOnFailure: true } },
      leaf(1),
    ],
  });
  say('a parent fails with its child', (await refusal(failing.job.waitUntilFinished(events))).replace(/child .* failed/, 'child failed'));
  const ignoring = await flows.add({
    name: 'root', queueName: 'flow', data: { x: 7 },
    children: [{ name: 'broken', queueName: 'flow', data: { x: 0 }, opts: { ignoreDependencyOnFailure: true } }, leaf(5)],
  });
  say('a parent ignores it', await ignoring.job.waitUntilFinished(events));
  say('why', Object.values(await ignoring.job.getIgnoredChildrenFailures()));
  const bulk = await flows.addBulk([1, 2].map((x) => ({ name: 'b', queueName: 'flow', data: { x }, children: [leaf(x * 10)] })));
  say('flows in bulk', await Promise.all(bulk.map((flow) => flow.job.waitUntilFinished(events))));
  await flows.close();
});

await part('flow-removed', {}, async (queue) => {
  const flows = new FlowProducer({ connection });
  const tree = await flows.add({
    name: 'root', queueName: 'flow-removed',
    children: [{ name: 'a', queueName: 'flow-removed' }, { name: 'b', queueName: 'flow-removed' }],
  });
  say('before', await queue.getJobCounts('waiting', 'waiting-children'));
  await tree.job.remove({ removeChildren: true });
  say('a flow removed', await queue.getJobCounts('waiting', 'waiting-children'));
  await flows.close();
});

await part('schedulers', {}, async (queue, events, work) => {
  const runs = {};
  const enough = promise();
  await queue.upsertJobScheduler('every', { every: 50, limit: 3 }, { name: 'tick', data: { n: 1 } });
  await queue.upsertJobScheduler('cron', { pattern: '0 0 3 1 1 *', tz: 'UTC' }, { name: 'yearly' });
  const ended = promise();
  work(async (job) => {
    runs[job.name] = (runs[job.name] ?? 0) + 1;
    if (runs.tick === 3) ended.resolve();
  });
  await ended.settled;
  enough.resolve();
  const cron = await queue.getJobScheduler('cron');
  say('a scheduler', [cron.key, cron.name, cron.pattern, cron.tz]);
  await queue.upsertJobScheduler('cron', { every: 1e9 }, { name: 'rarely' });
  say('changed', (await queue.getJobScheduler('cron')).every);
  say('removed', [await queue.removeJobScheduler('cron'), await queue.removeJobScheduler('none')]);
  say('ran', runs.tick);
});

await part('limited', {}, async (queue, events, work) => {
  const began = [];
  const all = promise();
  work(async () => {
    if (began.push(Date.now()) === 6) all.resolve();
  }, { limiter: { max: 2, duration: 150 }, concurrency: 4 });
  await queue.addBulk(Array.from({ length: 6 }, () => ({ name: 'j', data: 0 })));
  await all.settled;
  say('two a window', began[5] - began[0] >= 200);
});

await part('limited-by-hand', {}, async (queue, events, work) => {
  const tries = [];
  const worker = work(async (job) => {
    if (tries.push(job.attemptsMade) === 1) {
      await worker.rateLimit(60);
      throw Worker.RateLimitError();
    }
    return 'passed';
  }, { limiter: { max: 100, duration: 1000 } });
  const job = await queue.add('j', 0);
  say('rate limited', [await job.waitUntilFinished(events), tries]);
});

await part('global', {}, async (queue, events, work) => {
  await queue.setGlobalConcurrency(1);
  let running = 0;
  let most = 0;
  const process = async () => {
    most = Math.max(most, ++running);
    await queue.getVersion();
    running -= 1;
  };
  work(process, { concurrency: 5 });
  work(process, { concurrency: 5 });
  const jobs = await queue.addBulk(Array.from({ length: 12 }, () => ({ name: 'j', data: 0 })));
  await Promise.all(jobs.map((job) => job.waitUntilFinished(events)));
  say('one at a time', [most, await queue.getGlobalConcurrency()]);
});

await part('deduplicated', {}, async (queue, events, work) => {
  const heard = until(events, 'deduplicated');
  const first = await queue.add('a', 1, { deduplication: { id: 'same' } });
  const second = await queue.add('a', 2, { deduplication: { id: 'same' } });
  say('deduplicated', [first.id === second.id, (await heard)[0].deduplicationId]);
  await queue.add('b', 1, { delay: 50, deduplication: { id: 'debounced', ttl: 5000, extend: true, replace: true } });
  await queue.add('b', 2, { delay: 50, deduplication: { id: 'debounced', ttl: 5000, extend: true, replace: true } });
  say('replaced', (await queue.getDelayed()).map((job) => job.data));
  work(async (job) => job.data);
  say('its result', await first.waitUntilFinished(events));
});

await part('kept', { defaultJobOptions: { removeOnComplete: 2, removeOnFail: { age: 3600, count: 1 } } }, async (queue, events, work) => {
  const worker = work(async (job) => {
    if (job.data % 2) throw new Error('odd');
  }, { metrics: { maxDataPoints: 10 } });
  const jobs = Array.from({ length: 10 }, (_, i) => ({ name: 'j', data: i }));
  const drained = until(worker, 'drained');
  await queue.addBulk(jobs);
  await drained;
  say('kept', await queue.getJobCounts('completed', 'failed'));
  say('metrics', (await queue.getMetrics('completed')).meta.count);
});

await part('stalled', {}, async (queue, events, work) => {
  const stalled = until(events, 'stalled');
  const job = await queue.add('long', 'work');
  const victim = fork(fileURLToPath(new URL('bullmq_victim.mjs', import.meta.url)), [String(port), 'stalled']);
  await until(victim, 'message');
  victim.kill('SIGKILL');
  await until(victim, 'exit');
  say('killed with', await job.getState());
  work(async (job) => `${job.data} by another`, { stalledInterval: 200, lockDuration: 1000 });
  await stalled;
  say('stalled', await job.waitUntilFinished(events));
});

done();
