// node-redis: libraries of functions.

import { createClient } from 'redis';
import { done, port, say } from './story.mjs';

const library = {
  lib: {
    total: {
      NUMBER_OF_KEYS: undefined,
      parseCommand(parser, keys) {
        parser.pushKeysLength(keys);
      },
      transformReply: undefined,
    },
  },
};
const SOURCE = `#!lua name=lib
redis.register_function{function_name='total', flags={'no-writes'}, callback=function(keys)
  local sum = 0
  for _, key in ipairs(keys) do sum = sum + tonumber(redis.call('GET', key) or 0) end
  return sum
end}`;

for (const RESP of [2, 3]) {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP, functions: library });
  await client.connect();
  await client.mSet({ n: '13', k0: '15' });
  await client.functionLoad(SOURCE, { REPLACE: true });
  say('a function', await client.fCallRo('total', { keys: ['n', 'k0', 'k1', 'none'] }));
  say('libraries', (await client.functionList()).map((lib) => lib.library_name));
  await client.functionFlush();
  await client.close();
}
done();
