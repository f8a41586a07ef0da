"""redis-py: scripts by register_script, alone, in pipelines and transactions, from threads and from
asyncio, and its Lock, which is made of three scripts."""

import asyncio
import threading

from story import PORT, refusal, say, tell

import redis
import redis.asyncio
from redis.exceptions import LockError, LockNotOwnedError

TRANSFER = """
local has = tonumber(redis.call('GET', KEYS[1]) or '0')
if has < tonumber(ARGV[1]) then return redis.error_reply('POOR only ' .. has) end
redis.call('DECRBY', KEYS[1], ARGV[1])
return redis.call('INCRBY', KEYS[2], ARGV[1])"""
UNDECLARED = """
local sum = 0
for at = 1, tonumber(ARGV[1]) do sum = sum + redis.call('INCR', 'made:' .. at) end
return sum"""


def scripts(client):
    transfer, undeclared = client.register_script(TRANSFER), client.register_script(UNDECLARED)
    client.mset({"a": 100, "b": 0})
    say("a script", transfer(["a", "b"], [30]))
    say("too much", refusal(transfer, ["a", "b"], [300]))
    say("undeclared", [undeclared(args=[10]), undeclared(args=[20])])
    client.script_flush()
    say("after a flush", transfer(["a", "b"], [1]))
    client.script_flush()
    for transaction in (False, True):
        pipeline = client.pipeline(transaction=transaction)
        transfer(["a", "b"], [1], client=pipeline)
        pipeline.mget("a", "b")
        undeclared(args=[3], client=pipeline)
        transfer(["b", "a"], [1000], client=pipeline)
        pipeline.get("made:1")
        say(f"a pipeline, {transaction}", pipeline.execute(raise_on_error=False))
    say("loaded", client.script_exists(transfer.sha, undeclared.sha, "f" * 40))
    say("read only", client.eval_ro("return redis.call('MGET', KEYS[1], KEYS[2])", 2, "a", "b"))
    say("bytes", client.eval("return ARGV[1] .. KEYS[1]", 1, b"\xff\x00", b"\x80\r\n"))
    say("types", client.eval("return {1, 2.7, true, false, 'x', {'y', {}}, {ok='fine'}}", 0))
    say("an error", refusal(client.eval, "return redis.call('LPUSH', KEYS[1], 1)", 1, "a"))
    say("a table of errors", client.eval("return redis.pcall('LPUSH', KEYS[1], 1)['err']", 1, "a"))
    say("no syntax", refusal(client.eval, "return (", 0))


def watched(client):
    client.mset({"w": 1, "other": 1})
    poke = client.register_script("return redis.call('INCR', KEYS[1])")
    undeclared = client.register_script("return redis.call('INCR', ARGV[1])")
    for name, touch in (("declared", lambda: poke(["w"])), ("undeclared", lambda: undeclared(args=["w"]))):
        with client.pipeline() as pipeline:
            pipeline.watch("w")
            touch()
            pipeline.multi()
            pipeline.incr("other")
            say(f"watched, {name}", refusal(pipeline.execute))
    waiter = threading.Thread(target=lambda: say("pushed by a script", client.blpop(["list"], timeout=60)))
    waiter.start()
    while client.info("clients")["blocked_clients"] == 0:
        pass
    client.eval("redis.call('RPUSH', 'li' .. 'st', 'first', 'second')", 0)
    waiter.join()


def locks(client):
    lock = client.lock("lock", timeout=20)
    say("acquired", [lock.acquire(), lock.locked(), lock.owned()])
    say("refused", client.lock("lock", timeout=20, blocking=False).acquire())
    say("extended", [lock.extend(30), client.pttl("lock") > 40_000])
    say("reacquired", [lock.reacquire(), client.pttl("lock") <= 20_000])
    lock.release()
    say("released", client.exists("lock"))
    try:
        lock.release()
    except LockError as error:
        say("twice", str(error))
    lost = client.lock("lost", timeout=20)
    lost.acquire()
    client.set("lost", "another's")
    try:
        lost.release()
    except LockNotOwnedError as error:
        say("lost", str(error))
    client.set("counter", 0)

    def count():
        for _ in range(20):
            with client.lock("mutex", timeout=30, sleep=0.001):
                client.set("counter", int(client.get("counter")) + 1)

    threads = [threading.Thread(target=count) for _ in range(5)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    say("counted", client.get("counter"))


async def asynchronous():
    client = redis.asyncio.Redis(port=PORT)
    undeclared = client.register_script(UNDECLARED)
    await client.delete(*[f"made:{at}" for at in range(1, 21)])
    say("at once", sorted(await asyncio.gather(*[undeclared(args=[5]) for _ in range(20)])))
    await client.set("counter", 0)

    async def count():
        async with client.lock("mutex", timeout=30, sleep=0.001):
            await client.set("counter", int(await client.get("counter")) + 1)

    await asyncio.gather(*[count() for _ in range(30)])
    say("counted by tasks", await client.get("counter"))
    await client.aclose()


def story():
    for protocol in (2, 3):
        client = redis.Redis(port=PORT, protocol=protocol, socket_timeout=None)
        client.flushall()
        scripts(client)
        watched(client)
        locks(client)
    asyncio.run(asynchronous())


tell(story)
