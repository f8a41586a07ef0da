"""Huey with consumers in this process and one in another: results, retries, schedules, chains, locks."""

import os

from story import PORT, URL, Worker, eventually, nobody_waits, refusal, say, tell

os.environ["APPLICATION_PORT"] = str(PORT)

import redis
from huey_tasks import STORAGES, define


def story():
    client = redis.from_url(URL, socket_timeout=None)
    for name in STORAGES:
        huey, tasks = define(name)
        add, fail, flaky, locked, order = (tasks[n] for n in ("add", "fail", "flaky", "locked", "order"))
        say("storage", name)
        first, second = order("first"), order("second")
        if name.startswith("Priority"):
            order("urgent", priority=9)
        say("pending", [huey.pending_count(), len(huey.pending())])
        revoked = add(1, 1)
        revoked.revoke()
        consumer = huey.create_consumer(workers=3, periodic=False, initial_delay=0.01, backoff=1.0, scheduler_interval=1)
        if name.startswith("Priority"):
            consumer = huey.create_consumer(workers=1, periodic=False, initial_delay=0.01, backoff=1.0, scheduler_interval=1)
        consumer.start()
        get = lambda result: result.get(blocking=True, timeout=60, backoff=1.0, max_delay=0.01)
        say("a task", get(add(2, 3)))
        get(first), get(second)
        noted = client.lrange(f"order:{name}", 0, -1)
        say("order", noted if name.startswith("Priority") else sorted(noted))
        say("many", sum(get(result) for result in [add(i, 1) for i in range(50)]))
        say("a map", sum(add.map([(i, i) for i in range(10)]).get(blocking=True, timeout=60)))
        say("a chain", huey.enqueue(add.s(1, 2).then(add, 10).then(add, 100)).get(blocking=True, timeout=60))
        say("a failure", refusal(get, fail("so")))
        flaky(f"{name}:a", 3), tasks["patient"](f"{name}:b", 2)
        say("retried", eventually(lambda: client.get(f"flaky:{name}:a"), lambda made: made == b"3"))
        say("retried later", eventually(lambda: client.get(f"flaky:{name}:b"), lambda made: made == b"2"))
        say("later", get(add.schedule((4, 5), delay=1)))
        far = add.schedule((4, 5), delay=100_000)
        say("scheduled", eventually(huey.scheduled_count))
        far.revoke()
        say("revoked", far.is_revoked())
        huey.put("own", {"x": 1})
        say("a value", [huey.get("own", peek=True), huey.get("own"), huey.get("own")])
        say("put once", [huey.put_if_empty("once", 1), huey.put_if_empty("once", 2)])
        with huey.lock_task("lock"):
            say("locked", [huey.is_locked("lock"), refusal(get, locked())[:20]])
        say("not locked", [huey.is_locked("lock"), get(locked())])
        consumer.stop(graceful=True)
        huey.flush()
        say("flushed", [huey.pending_count(), huey.scheduled_count(), huey.result_count()])

    huey, tasks = define("RedisHuey")
    tasks["hold"]("killed")
    victim = Worker("-m", "huey.bin.huey_consumer", "huey_tasks.huey", "-w", "1", "-k", "process", "-n")
    client.blpop("killed:begun")
    rest = tasks["add"](7, 8)
    victim.kill()
    nobody_waits(client)
    say("behind the one that was killed", huey.pending_count())
    worker = Worker("-m", "huey.bin.huey_consumer", "huey_tasks.huey", "-w", "1", "-n")
    say("done by another", rest.get(blocking=True, timeout=60))
    worker.process.send_signal(2)
    say("stopped", worker.process.wait())


tell(story)
