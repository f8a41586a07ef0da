// rate-limiter-flexible over ioredis and node-redis: windows, blocks, bursts, queues, several at once.

import { Redis } from 'ioredis';
import { createClient } from 'redis';
import {
  BurstyRateLimiter, RateLimiterQueue, RateLimiterRedis, RateLimiterUnion, RLWrapperBlackAndWhite,
} from 'rate-limiter-flexible';
import { done, port, say } from './story.mjs';

const ioredis = new Redis({ port, enableOfflineQueue: false });
await new Promise((resolve) => ioredis.once('ready', resolve));
const nodeRedis = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();

const shown = (result) => result instanceof Error ? String(result) : [result.consumedPoints, result.remainingPoints, result.msBeforeNext > 0];
const settle = (promise) => promise.then((result) => ['passed', shown(result)], (result) => ['refused', shown(result)]);

for (const [name, options] of [['ioredis', { storeClient: ioredis }], ['node-redis', { storeClient: nodeRedis, useRedisPackage: true }]]) {
  const limiter = new RateLimiterRedis({ ...options, keyPrefix: `${name}:plain`, points: 3, duration: 100 });
  for (let round = 0; round < 5; round++) say(`${name} consumes`, await settle(limiter.consume('user')));
  say('two at once', await settle(limiter.consume('other', 2)));
  say('a reward', await settle(limiter.reward('user', 2)));
  say('a penalty', await settle(limiter.penalty('other', 1)));
  say('got', shown(await limiter.get('user')));
  say('set', shown(await limiter.set('user', 7, 100)));
  say('deleted', [await limiter.delete('user'), await limiter.get('user')]);
  const many = await Promise.all(Array.from({ length: 20 }, () => settle(limiter.consume('crowd'))));
  say('of a crowd pass', many.filter(([what]) => what === 'passed').length);
  const blocking = new RateLimiterRedis({ ...options, keyPrefix: `${name}:blocking`, points: 1, duration: 100, blockDuration: 500 });
  await blocking.consume('user');
  await settle(blocking.consume('user'));
  const { msBeforeNext } = await blocking.get('user');
  say('blocked', msBeforeNext > 200_000 && msBeforeNext <= 500_000);
  await blocking.block('someone', 30);
  say('blocked by hand', await settle(blocking.consume('someone')));
  const short = new RateLimiterRedis({ ...options, keyPrefix: `${name}:short`, points: 1, duration: 1 });
  await short.consume('user');
  const refused = await short.consume('user').catch((result) => result);
  await new Promise((resolve) => setTimeout(resolve, refused.msBeforeNext + 10));
  say('a new window', await settle(short.consume('user')));
  const bursty = new BurstyRateLimiter(
    new RateLimiterRedis({ ...options, keyPrefix: `${name}:b1`, points: 1, duration: 100 }),
    new RateLimiterRedis({ ...options, keyPrefix: `${name}:b2`, points: 2, duration: 100 }),
  );
  for (let round = 0; round < 4; round++) say('bursty', (await settle(bursty.consume('user')))[0]);
  const union = new RateLimiterUnion(limiter, new RateLimiterRedis({ ...options, keyPrefix: `${name}:u`, points: 1, duration: 100 }));
  say('union', Object.keys(await union.consume('joint')).length);
  say('union refuses', Object.keys(await union.consume('joint').catch((results) => results)).length);
  const listed = new RLWrapperBlackAndWhite({ limiter, blackList: ['bad'], whiteList: ['good'] });
  say('lists', [(await settle(listed.consume('bad')))[0], (await settle(listed.consume('good', 100)))[0]]);
  const queue = new RateLimiterQueue(new RateLimiterRedis({ ...options, keyPrefix: `${name}:q`, points: 2, duration: 1 }));
  say('queued', await Promise.all([1, 2, 3, 4].map(() => queue.removeTokens(1))).then((left) => left.length));
}
await nodeRedis.close();
await ioredis.quit();
done();
