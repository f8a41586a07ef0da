"""The tasks of huey_works.py, for each kind of storage, as a consumer loads them."""

import os

import redis

import huey as library

PORT = int(os.environ["APPLICATION_PORT"])
STORAGES = ["RedisHuey", "RedisExpireHuey", "PriorityRedisHuey", "PriorityRedisExpireHuey"]


def define(name):
    """A queue, and its tasks by name."""
    queue = getattr(library, name)(name, port=PORT)
    client = redis.Redis(port=PORT, socket_timeout=None)

    def add(x, y):
        return x + y

    def fail(text):
        raise ValueError(text)

    def flaky(name, wanted):
        made = client.incr(f"flaky:{name}")
        if made < wanted:
            raise RuntimeError(f"attempt {made}")
        return made

    def patient(name, wanted):
        return flaky(name, wanted)

    def locked():
        with queue.lock_task("lock"):
            return "mine"

    def order(text):
        return client.rpush(f"order:{name}", text)

    def hold(name):
        client.lpush(f"{name}:begun", 1)
        client.blpop(f"{name}:go")

    settings = {"flaky": {"retries": 4}, "patient": {"retries": 2, "retry_delay": 1}}
    functions = (add, fail, flaky, patient, locked, order, hold)
    return queue, {f.__name__: queue.task(**settings.get(f.__name__, {}))(f) for f in functions}


huey, _tasks = define("RedisHuey")
