// socket.io with its Redis adapter: two servers, a client on each, rooms across both.

import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { done, port, say, until } from './story.mjs';

async function serve() {
  const publisher = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();
  const subscriber = await publisher.duplicate().connect();
  const http = createServer();
  const server = new Server(http, { adapter: createAdapter(publisher, subscriber) });
  server.on('connection', (socket) => {
    socket.on('join', async (room, joined) => {
      await socket.join(room);
      joined();
    });
    socket.on('say', (room, text) => server.to(room).emit('said', text));
  });
  server.on('question', (answer) => answer('heard'));
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  const client = io(`http://127.0.0.1:${http.address().port}`);
  await until(client, 'connect');
  return { server, client };
}

const [left, right] = [await serve(), await serve()];
say('sockets', (await left.server.fetchSockets()).length);
await left.client.emitWithAck('join', 'room');
await right.client.emitWithAck('join', 'room');
say('in the room', (await right.server.in('room').fetchSockets()).length);
const heard = [until(left.client, 'said'), until(right.client, 'said')];
left.client.emit('say', 'room', 'hello');
say('both hear', await Promise.all(heard));
const all = [until(left.client, 'news'), until(right.client, 'news')];
right.server.emit('news', { binary: Buffer.from([1, 2, 255]) });
say('news', (await Promise.all(all)).map(([news]) => [...news.binary]));
say('other servers', await left.server.serverSideEmitWithAck('question'));
const gone = until(right.client, 'disconnect');
left.server.in('room').disconnectSockets(true);
await gone;
say('disconnected', 'yes');
done();
