// node-redis: scripts defined on a client, in pipelines and transactions, binary replies.

import { createClient, defineScript, RESP_TYPES, ErrorReply } from 'redis';
import { done, port, refusal, say } from './story.mjs';

const add = defineScript({
  NUMBER_OF_KEYS: 1,
  SCRIPT: "return redis.call('INCRBY', KEYS[1], ARGV[1])",
  parseCommand(parser, key, by) {
    parser.pushKey(key);
    parser.push(String(by));
  },
  transformReply: (reply) => `sum ${reply}`,
});
const move = defineScript({
  NUMBER_OF_KEYS: 2,
  SCRIPT: `
    local taken = redis.call('SPOP', KEYS[1], ARGV[1])
    for _, member in ipairs(taken) do redis.call('ZADD', KEYS[2], #member, member) end
    return {#taken, redis.call('ZCARD', KEYS[2])}`,
  parseCommand(parser, from, to, count) {
    parser.pushKeys([from, to]);
    parser.push(String(count));
  },
  transformReply: undefined,
});
for (const RESP of [2, 3]) {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP, scripts: { add, move } });
  await client.connect();
  await client.flushAll();
  await client.scriptFlush();
  say('protocol', RESP);
  say('a script', [await client.add('n', 2), await client.add('n', 40)]);
  say('many at once', await Promise.all(Array.from({ length: 50 }, (_, i) => client.add(`k${i % 7}`, 1))));
  await client.sAdd('s', ['a', 'bb', 'ccc', 'dddd']);
  say('over two keys', await client.move('s', 't', 3));
  say('the rest', await client.move('s', 't', 3));
  say('moved', await client.zRangeWithScores('t', 0, -1));
  say('in MULTI', await client.multi().set('n', 1).add('n', 5).get('n').move('s', 't', 1).exec());
  say('in a pipeline', await client.multi().add('n', 5).incr('n').execAsPipeline());
  await client.scriptFlush();
  say('after a flush', await client.add('n', 1));
  const sha = await client.scriptLoad('return ARGV[1]');
  say('loaded', [sha, await client.evalSha(sha, { arguments: ['x'] }), await client.scriptExists([sha, 'ffff'])]);
  say('unknown', await refusal(client.evalSha('f'.repeat(40))));
  say('an error', (await refusal(client.eval("return redis.call('INCR', KEYS[1])", { keys: ['t'] }))));
  say('an error reply', await refusal(client.eval("return redis.error_reply('MINE so it is')")));
  say('read only', await client.evalRo("return redis.call('GET', KEYS[1])", { keys: ['n'] }));
  say('a write in it', await refusal(client.evalRo("return redis.call('DEL', KEYS[1])", { keys: ['n'] })));
  const bytes = Buffer.from([0, 255, 10, 13, 128]);
  const echo = await client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
    .eval("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])", { keys: ['bytes'], arguments: [bytes] });
  say('bytes', [...echo]);
  say('a map', await client.eval("redis.setresp(3) return redis.call('HGETALL', KEYS[1])", { keys: ['none'] }));
  say('types', await client.eval("return {1, 2.9, 'a', true, false, {ok='fine'}, {1, {2}}}"));
  say('nested error', await client.eval("return {redis.pcall('NOSUCH'), 1}").then((reply) => [reply[0] instanceof ErrorReply, reply[0].message, reply[1]], String));
  await client.close();
}
done();
