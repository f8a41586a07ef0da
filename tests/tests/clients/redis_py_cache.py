"""The cache that redis-py keeps of what it has read, against writers. The port is the argument; an assertion fails the test."""

import sys
import threading
import time

import redis
from redis.cache import CacheConfig, CacheKey

PORT = int(sys.argv[1])
TIME_MAX_S = 20


def connect(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, decode_responses=True, socket_timeout=TIME_MAX_S, **options)


def cached(**options):
    return connect(protocol=3, cache_config=CacheConfig(**options))


def eventually(what, done):
    until = time.monotonic() + TIME_MAX_S
    while not done():
        assert time.monotonic() < until, what
        time.sleep(0.001)


def is_cached(client, command, *keys):
    key = CacheKey(command=command, redis_keys=keys, redis_args=(command, *keys))
    return client.get_cache().get(key) is not None


def hits_and_changes(client, other):
    other.set("a", "1")
    assert client.get("a") == "1"
    assert is_cached(client, "GET", "a")
    assert client.get("a") == "1"
    other.set("a", "2")
    eventually("a change is seen", lambda: client.get("a") == "2")
    other.delete("a")
    eventually("a deletion is seen", lambda: client.get("a") is None)


def every_type(client, other):
    other.hset("h", mapping={"f": 1})
    other.rpush("l", "x")
    other.sadd("s", "m")
    other.zadd("z", {"m": 1})
    reads = [
        (lambda: client.hgetall("h"), {"f": "1"}, lambda: other.hset("h", "g", 2), {"f": "1", "g": "2"}),
        (lambda: client.lrange("l", 0, -1), ["x"], lambda: other.rpush("l", "y"), ["x", "y"]),
        (lambda: client.smembers("s"), {"m"}, lambda: other.srem("s", "m"), set()),
        (lambda: client.zscore("z", "m"), 1.0, lambda: other.zincrby("z", 1, "m"), 2.0),
        (lambda: client.mget("k1", "k2", "k3"), [None] * 3, lambda: other.mset({"k1": 1, "k3": 3}), ["1", None, "3"]),
    ]
    for read, before, change, after in reads:
        assert read() == before
        assert read() == before
        change()
        eventually(f"{after} is seen", lambda: read() == after)


def time_and_emptiness(client, other):
    other.set("t", "1", px=50)
    client.get("t")
    eventually("the end of its time is seen", lambda: client.get("t") is None)
    other.mset({f"k{i}": i for i in range(50)})
    for i in range(50):
        client.get(f"k{i}")
    other.flushall()
    eventually("nothing is left", lambda: all(client.get(f"k{i}") is None for i in range(50)))


def transactions(client, other):
    other.mset({"a": 1, "b": 1, "c": 1})
    assert [client.get(key) for key in "abc"] == ["1"] * 3
    with other.pipeline() as pipe:
        for key in "abc":
            pipe.set(key, 2)
        pipe.rename("a", "d")
        pipe.execute()
    eventually("all of it is seen", lambda: [client.get(key) for key in "abcd"] == [None, "2", "2", "2"])


def many_at_once(client, other):
    """Whatever was seen on the way: when the writers are done, every cache tells what is there."""
    keys = [f"k{i}" for i in range(20)]
    done = threading.Event()
    failures = []

    def read():
        try:
            mine = cached(max_size=1000)
            while not done.is_set():
                for key in keys:
                    mine.get(key)
            for key in keys:
                eventually(f"{key} is right", lambda: mine.get(key) == other.get(key))
        except Exception as error:
            failures.append(error)

    def write(number):
        mine = connect()
        for i in range(100):
            mine.set(keys[(number + i * 7) % len(keys)], f"{number} {i}")
            mine.mset({keys[i % len(keys)]: i, keys[(i + 3) % len(keys)]: i})

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert not failures, failures


for step in (hits_and_changes, every_type, time_and_emptiness, transactions, many_at_once):
    client, other = cached(), connect()
    other.flushall()
    try:
        step(client, other)
    except Exception as error:
        raise SystemExit(f"{step.__name__}: {type(error).__name__}: {error}")
    client.close()
print("done")
