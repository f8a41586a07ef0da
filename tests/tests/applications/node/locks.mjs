// Redlock, 4 and 5, over ioredis: who holds a lock, who waits for it, several resources at once.

import { Redis } from 'ioredis';
import Redlock4 from 'redlock';
import Redlock5 from 'redlock-5';
import { done, port, refusal, say } from './story.mjs';

const redis = new Redis({ port });
const options = { retryCount: 2, retryDelay: 5, retryJitter: 2 };
const patient = { retryCount: 5000, retryDelay: 2, retryJitter: 2 };
const shown = (text) => text.replace(/\d+(?= m?s)/, 'N');

const four = new Redlock4([redis], options);
const held = await four.lock('four', 20_000);
say('4 holds', await redis.pttl('four') > 10_000);
say('4 refuses', (await refusal(four.lock('four', 1000))).split(':')[0]);
await held.extend(40_000);
say('4 extends', await redis.pttl('four') > 20_000);
await held.unlock();
say('4 lets go', await redis.exists('four'));
say('4 unlocks twice', (await refusal(held.unlock())).split(':')[0]);
const two = await four.lock(['four:a', 'four:b'], 20_000);
say('4 holds two', await redis.exists('four:a', 'four:b'));
say('4 refuses one of them', (await refusal(four.lock(['four:b', 'four:c'], 1000))).split(':')[0]);
say('4 leaves nothing', await redis.exists('four:c'));
await two.unlock();

const five = new Redlock5([redis], options);
let lock = await five.acquire(['five:a', 'five:b'], 20_000);
say('5 holds two', await redis.exists('five:a', 'five:b'));
say('5 refuses', shown(await refusal(five.acquire(['five:b'], 1000))));
lock = await lock.extend(40_000);
say('5 extends', await redis.pttl('five:b') > 20_000);
await lock.release();
say('5 lets go', await redis.exists('five:a', 'five:b'));
say('5 releases twice', shown(await refusal(lock.release())));

// Many read, wait and write what only the holder may touch.
for (const [name, lock] of [
  ['4', (task) => new Redlock4([redis], patient).lock('mutex', 10_000).then((held) => task().then(() => held.unlock()))],
  ['5', (task) => new Redlock5([redis], patient).using(['mutex', 'second'], 10_000, task)],
]) {
  await redis.set('counter', 0);
  await Promise.all(Array.from({ length: 15 }, () => lock(async () => {
    const value = Number(await redis.get('counter'));
    await redis.ping();
    await redis.set('counter', value + 1);
  })));
  say(`${name} counts`, await redis.get('counter'));
}
await redis.quit();
done();
