// What all programs here share. Each takes the port of a server as its argument, and prints what it
// finds, a line each: the lines of Redis and of percore must be the same. The last one is "done".

const LIMIT_MS = 150_000;

export const port = Number(process.argv[2]);

let at = 'the beginning';

export function say(what, value) {
  at = what;
  console.log(`${what}: ${JSON.stringify(value)}`);
}

// Whatever is awaited in vain ends the program, which says where it stood.
setTimeout(() => {
  console.log(`nothing more within ${LIMIT_MS} ms, after: ${at}`);
  process.exit(1);
}, LIMIT_MS).unref();

process.on('unhandledRejection', (error) => {
  console.log(`after ${at}: ${error?.stack ?? error}`);
  process.exit(1);
});

// The arguments of the first event of this name that is accepted.
export function until(emitter, event, accepts = () => true) {
  return new Promise((resolve) => {
    const hear = (...args) => {
      if (!accepts(...args)) return;
      emitter.off(event, hear);
      resolve(args);
    };
    emitter.on(event, hear);
  });
}

// A promise with what settles it, for programs that wait for something in a callback.
export function promise() {
  let resolve;
  const settled = new Promise((callback) => (resolve = callback));
  return { settled, resolve };
}

// Calls until the answer is accepted: for what no event tells.
export async function eventually(ask, accepts) {
  for (;;) {
    const answer = await ask();
    if (accepts(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// What a promise is rejected with, as text.
export async function refusal(promise) {
  try {
    return `no error but ${JSON.stringify(await promise)}`;
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
}

// The end of every program: connections that a library leaves open do not keep it.
export function done() {
  console.log('done');
  process.exit(0);
}
