"""Dramatiq: actors, retries, delays, pipelines, groups, limiters, and the messages of a dead worker."""

import threading

from story import PORT, URL, Worker, eventually, nobody_waits, say, tell

import dramatiq
import redis
from dramatiq import group, pipeline
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import Barrier, BucketRateLimiter, ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=URL, heartbeat_timeout=1000, maintenance_chance=1_000_000)
limits = LimitBackend(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
broker.add_middleware(GroupCallbacks(limits))
dramatiq.set_broker(broker)
TIME = 60_000
attempts = {}
called_back = threading.Event()


@dramatiq.actor(store_results=True)
def add(x, y):
    return x + y


@dramatiq.actor(store_results=True, max_retries=3, min_backoff=10, max_backoff=20)
def flaky(name, wanted):
    attempts[name] = attempts.get(name, 0) + 1
    if attempts[name] < wanted:
        raise RuntimeError(f"attempt {attempts[name]}")
    return attempts[name]


@dramatiq.actor(max_retries=0)
def fail():
    raise ValueError("so")


@dramatiq.actor
def finish():
    called_back.set()


@dramatiq.actor(queue_name="victims", store_results=True)
def hold(name):
    client = redis.from_url(URL, socket_timeout=None)
    client.lpush(f"{name}:begun", 1)
    client.blpop(f"{name}:go")
    return name


def story():
    client = redis.from_url(URL, socket_timeout=None)
    worker = dramatiq.Worker(broker, queues={"default"}, worker_timeout=50, worker_threads=4)
    worker.start()
    say("a message", add.send(2, 3).get_result(block=True, timeout=TIME))
    say("many", sum(m.get_result(block=True, timeout=TIME) for m in [add.send(i, 1) for i in range(200)]))
    say("later", add.send_with_options(args=(1, 2), delay=100).get_result(block=True, timeout=TIME))
    say("retried", eventually(lambda m=flaky.send("a", 3): attempts.get("a") == 3 and m.get_result(block=True, timeout=TIME)))
    flaky.send("vain", 99)
    fail.send()
    say("dead letters", eventually(lambda: client.zcard("dramatiq:default.XQ"), lambda n: n == 2))
    say("a pipeline", pipeline([add.message(1, 2), add.message(10), add.message(100)]).run().get_result(block=True, timeout=TIME))
    grouped = group([add.message(i, i) for i in range(10)])
    grouped.add_completion_callback(finish.message())
    say("a group", list(grouped.run().get_results(block=True, timeout=TIME)))
    say("its callback", called_back.wait(60))
    broker.join("default", timeout=TIME)
    say("acknowledged", [client.llen("dramatiq:default"), client.hlen("dramatiq:default.msgs")])

    mutex = ConcurrentRateLimiter(limits, "mutex", limit=1)
    with mutex.acquire():
        with mutex.acquire(raise_on_failure=False) as acquired:
            say("a mutex", acquired)
    bucket = BucketRateLimiter(limits, "bucket", limit=2, bucket=60_000)
    taken = []
    for _ in range(4):
        with bucket.acquire(raise_on_failure=False) as acquired:
            taken.append(acquired)
    say("a bucket", sum(taken) in (2, 3, 4))
    window = WindowRateLimiter(limits, "window", limit=3, window=600)
    taken = []
    for _ in range(5):
        with window.acquire(raise_on_failure=False) as acquired:
            taken.append(acquired)
    say("a window", taken)
    barrier = Barrier(limits, "barrier", ttl=60_000)
    say("a barrier", [barrier.create(parties=2), barrier.create(parties=2), barrier.wait(block=False)])
    waiter = threading.Thread(target=barrier.wait, kwargs={"timeout": 30_000})
    waiter.start()
    waiter.join()
    say("passed", True)

    message = hold.send("killed")
    victim = Worker("-m", "dramatiq", "dramatiq_victim", "--processes", "1", "--threads", "1", "--queues", "victims")
    client.blpop("killed:begun")
    victim.kill()
    nobody_waits(client)
    say("in its hands", sum(client.scard(key) for key in client.keys("dramatiq:__acks__.*.victims")))
    client.lpush("killed:go", 1)
    saviour = dramatiq.Worker(broker, queues={"victims"}, worker_timeout=50, worker_threads=1)
    saviour.start()
    say("after the worker was killed", message.get_result(block=True, timeout=TIME))
    saviour.stop()
    broker.flush_all()
    worker.stop()
    say("flushed", [client.llen("dramatiq:default"), client.hlen("dramatiq:default.msgs")])


if __name__ == "__main__":
    tell(story)
