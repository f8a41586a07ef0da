// ioredis: commands defined by scripts, in pipelines and transactions, with binary and many keys.

import { Redis } from 'ioredis';
import { done, port, refusal, say } from './story.mjs';

const redis = new Redis({
  port,
  scripts: {
    fromOptions: { numberOfKeys: 1, lua: "return {KEYS[1], redis.call('TTL', KEYS[1])}", readOnly: true },
  },
});
const transfer = {
  numberOfKeys: 2,
  lua: `
    local amount = tonumber(ARGV[1])
    local has = tonumber(redis.call('GET', KEYS[1]) or '0')
    if has < amount then return redis.error_reply('POOR only ' .. has) end
    return {redis.call('DECRBY', KEYS[1], amount), redis.call('INCRBY', KEYS[2], amount)}`,
};
const sumall = {
  lua: `
    local sum = 0
    for _, key in ipairs(KEYS) do sum = sum + (tonumber(redis.call('GET', key)) or 0) end
    return tostring(sum)`,
};
redis.defineCommand('transfer', transfer);
redis.defineCommand('sumall', sumall);
// Keys that nobody declared: made up by the script.
redis.defineCommand('spread', {
  numberOfKeys: 1,
  lua: `
    for at = 1, tonumber(ARGV[1]) do redis.call('HINCRBY', KEYS[1] .. ':' .. at, 'n', at) end
    local sum = 0
    for at = 1, tonumber(ARGV[1]) do sum = sum + redis.call('HGET', KEYS[1] .. ':' .. at, 'n') end
    return sum`,
});

say('by option', await redis.fromOptions('a'));
await redis.mset('a', 100, 'b', 0, 'c', 5);
say('a transfer', await redis.transfer('a', 'b', 30));
say('too much', await refusal(redis.transfer('c', 'b', 30)));
say('keys counted by the caller', await redis.sumall(3, 'a', 'b', 'c'));
say('undeclared', await redis.spread('made', 20));
say('as bytes', (await redis.sumallBuffer(1, 'a')).toString());
say('in a pipeline', await redis.pipeline().transfer('a', 'b', 1).get('a').transfer('b', 'c', 500).sumall(2, 'a', 'b').spread('made', 3).exec()
  .then((replies) => replies.map(([error, reply]) => error?.message ?? reply)));
say('in MULTI', await redis.multi().transfer('a', 'b', 1).get('a').sumall(3, 'a', 'b', 'c').spread('made', 2).exec());
await redis.script('FLUSH');
say('after a flush', await redis.transfer('a', 'b', 1));
await redis.script('FLUSH');
say('in a pipeline after a flush', await redis.pipeline().sumall(1, 'a').transfer('a', 'c', 1).exec());

// Several clients move units about at once: nothing is lost, and everybody sees the whole.
const clients = Array.from({ length: 4 }, () => new Redis({ port, scripts: { transfer, sumall } }));
const accounts = Array.from({ length: 9 }, (_, at) => `account:${at}`);
await redis.mset(...accounts.flatMap((account) => [account, 100]));
const sums = new Set();
await Promise.all(clients.map(async (client, number) => {
  for (let round = 0; round < 100; round++) {
    const [from, to] = [accounts[(round + number) % 9], accounts[(round * 2 + number + 1) % 9]];
    const [, sum] = await Promise.all([
      from === to ? null : client.transfer(from, to, 1).catch((error) => error.message),
      client.sumall(9, ...accounts),
    ]);
    sums.add(sum);
  }
}));
say('sums seen', [...sums]);
await Promise.all([...clients, redis].map((client) => client.quit()));
done();
