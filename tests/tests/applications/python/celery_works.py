"""Celery with a worker in processes of its own: chains, groups, chords, retries, revoked tasks, and a
worker that is killed with a task in its hands."""

import os

from story import PORT, URL, Worker, eventually, nobody_waits, refusal, say, tell

os.environ["APPLICATION_PORT"] = str(PORT)

import redis
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError
from celery_tasks import add, app, fail, flaky, hold, progress, total

WORKER = ("-m", "celery", "-A", "celery_tasks", "worker", "--pool", "prefork", "--loglevel", "info",
          "--without-mingle", "--without-gossip")
TIME = 60


def story():
    client = redis.from_url(URL, socket_timeout=None)
    worker = Worker(*WORKER, "--concurrency", "2", "-n", "first@here")
    eventually(lambda: app.control.ping(timeout=1))
    say("a task", add.delay(2, 3).get(TIME))
    say("many", sum(result.get(TIME) for result in [add.delay(i, i) for i in range(100)]))
    say("a chain", chain(add.s(1, 2), add.s(10), add.s(100)).delay().get(TIME))
    say("a group", group(add.s(i, i) for i in range(20)).delay().get(TIME))
    say("a chord", chord((add.s(i, 1) for i in range(15)), total.s()).delay().get(TIME))
    say("a chain with a group in it", chain(add.s(1, 1), group(add.s(i) for i in range(4)), total.s()).delay().get(TIME))
    say("a group of chains", group(chain(add.s(i, 1), add.s(1)) for i in range(3)).delay().get(TIME))
    say("chunks", add.chunks(zip(range(6), range(6)), 2).delay().get(TIME))
    say("a failure", refusal(fail.delay("so").get, TIME))
    say("a chord with a failure", refusal(chord([add.s(1, 1), fail.s("part")], total.s()).delay().get, TIME).split("(")[0])
    say("an error callback", add.apply_async((1, 1), link=add.s(40)).get(TIME))
    say("retried", flaky.delay(2).get(TIME))
    say("retried in vain", refusal(flaky.delay(9).get, TIME))
    say("later", add.apply_async((1, 2), countdown=0.2).get(TIME))
    say("expired", refusal(add.apply_async((1, 2), expires=-1).get, TIME).split(":")[0])
    result = progress.delay("half")
    eventually(lambda: result.state == "PROGRESS")
    say("progress", result.info)
    client.lpush("progress:go", 1)
    say("its end", [result.get(TIME), result.state])
    say("priorities", add.apply_async((3, 4), priority=9).get(TIME))
    say("ignored", add.apply_async((3, 4), ignore_result=True).get())

    held = [hold.delay(f"held{i}") for i in range(2)]
    for i in range(2):
        client.blpop(f"held{i}:begun")
    behind = add.delay(5, 5)
    app.control.revoke(behind.id, reply=True)
    for i in range(2):
        client.lpush(f"held{i}:go", 1)
    say("held", [result.get(TIME) for result in held])
    try:
        say("revoked", behind.get(TIME))
    except TaskRevokedError as error:
        say("revoked", str(error))
    running = hold.delay("terminated")
    client.blpop("terminated:begun")
    app.control.revoke(running.id, terminate=True, signal="SIGKILL", reply=True)
    say("terminated", refusal(running.get, TIME).split(":")[0])
    say("inspected", [list(app.control.inspect().registered() or {}), app.control.inspect().active()])
    say("a result forgotten", [(result := add.delay(1, 1)).get(TIME), result.forget(), result.state])

    long = hold.delay("killed")
    client.blpop("killed:begun")
    worker.kill()
    nobody_waits(client)
    say("nobody answers", app.control.ping(timeout=0.5))
    client.lpush("killed:go", 1)
    worker = Worker(*WORKER, "--concurrency", "1", "-n", "second@here", VISIBILITY="1")
    say("after the worker was killed", long.get(TIME))
    for _ in range(3):
        add.delay(0, 0)
    say("stopped", worker.stop())
    say("purged at most three", app.control.purge() <= 3)
    say("acknowledged", [client.hlen("unacked"), client.zcard("unacked_index")])


tell(story)
