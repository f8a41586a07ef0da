"""saq: jobs, retries, schedules, aborted jobs, batches, and one whose worker is gone."""

import asyncio
import time

from story import PORT, nobody_waits, say, tell

import redis.asyncio
from saq import Status, Worker
from saq.queue.redis import RedisQueue

attempts = {}
begun = asyncio.Event()


async def add(_context, *, x, y):
    return x + y


async def flaky(_context, *, name, wanted):
    attempts[name] = attempts.get(name, 0) + 1
    if attempts[name] < wanted:
        raise RuntimeError(f"attempt {attempts[name]}")
    return attempts[name]


async def hold(_context):
    begun.set()
    await asyncio.sleep(3600)


async def works():
    queue = RedisQueue(redis.asyncio.Redis(port=PORT, socket_timeout=None))
    await queue.connect()
    # Keeps workers from sweeping: that takes what another has just fetched for stuck.
    await queue.redis.set(queue._sweep, 1)
    worker = Worker(queue, [add, flaky, hold], concurrency=4, timers={"schedule": 1, "abort": 1})
    early = await queue.enqueue("add", x=1, y=1, key="mine")
    say("the same key", await queue.enqueue("add", x=1, y=1, key="mine"))
    say("queued", [await queue.count("queued"), await queue.count("incomplete"), early.status])
    running = asyncio.create_task(worker.start())
    say("a job", await queue.apply("add", x=2, y=3))
    say("many", sum(await queue.map("add", [{"x": n, "y": 1} for n in range(50)])))
    say("retried", await queue.apply("flaky", name="a", wanted=3, retries=5))
    vain = await queue.enqueue("flaky", name="b", wanted=9, retries=2)
    await vain.refresh(60)
    say("in vain", [vain.status, vain.attempts, vain.error.splitlines()[-1]])
    later = await queue.enqueue("add", x=4, y=5, scheduled=time.time() + 1)
    say("scheduled", await queue.count("incomplete") > 0)
    await later.refresh(60)
    say("later", later.result)
    held = await queue.enqueue("hold", timeout=0)
    await begun.wait()
    await queue.abort(held, "enough")
    await held.refresh(60)
    say("aborted", [held.status, held.error])
    async with queue.batch():
        say("a batch", await queue.apply("add", x=3, y=3))
    worker.event.set()
    await asyncio.wait([running], timeout=60)
    await worker.stop()
    await asyncio.to_thread(nobody_waits, redis.Redis(port=PORT))

    lost = await queue.enqueue("add", x=7, y=7, timeout=1, retries=3)
    taken = await queue.dequeue(timeout=60)
    taken.status = Status.ACTIVE
    taken.started = 1000
    await queue.update(taken)
    await queue.redis.delete(queue._sweep)
    say("swept", len(await queue.sweep(lock=1)))
    again = Worker(queue, [add], concurrency=1, timers={"schedule": 1})
    running = asyncio.create_task(again.start())
    await lost.refresh(60)
    say("done by another", [lost.result, lost.status])
    again.event.set()
    await asyncio.wait([running], timeout=60)
    await again.stop()
    await queue.disconnect()


tell(lambda: asyncio.run(works()))
