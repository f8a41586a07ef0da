"""What a Python program does with Redis, through redis-py as it comes. The port is the argument; an assertion fails the test."""

import sys
import threading

import redis

PORT = int(sys.argv[1])


def connect(**options):
    return redis.Redis(host="127.0.0.1", port=PORT, decode_responses=True, socket_timeout=20, **options)


def strings(client):
    assert client.set("greeting", "hello", ex=100)
    assert client.get("greeting") == "hello"
    assert 90 < client.ttl("greeting") <= 100
    assert client.set("greeting", "again", nx=True) is None
    assert client.mset({f"k{i}": i for i in range(100)})
    assert client.mget([f"k{i}" for i in range(100)]) == [str(i) for i in range(100)]
    assert client.incrby("k5", 10) == 15
    assert client.exists("k1", "k2", "none") == 2
    assert client.delete(*[f"k{i}" for i in range(100)]) == 100


def collections(client):
    client.hset("hash", mapping={"a": 1, "b": 2})
    assert client.hgetall("hash") == {"a": "1", "b": "2"}
    client.rpush("list", *range(10))
    assert client.lrange("list", 2, 4) == ["2", "3", "4"]
    client.sadd("set", "x", "y")
    assert client.smembers("set") == {"x", "y"}
    client.zadd("board", {"ann": 3, "bob": 1.5})
    assert [(name, score) for name, score in client.zrange("board", 0, -1, withscores=True)] == [("bob", 1.5), ("ann", 3.0)]
    entry = client.xadd("stream", {"field": "value"})
    assert client.xrange("stream") == [(entry, {"field": "value"})]


def pipelines(client):
    with client.pipeline(transaction=False) as pipe:
        for i in range(1000):
            pipe.set(f"p{i}", i)
            pipe.get(f"p{i}")
        replies = pipe.execute()
    assert replies[1::2] == [str(i) for i in range(1000)]


def transactions(client):
    """Four threads move units between accounts with WATCH: none is lost."""
    accounts = [f"account:{i}" for i in range(4)]
    client.mset({account: 100 for account in accounts})

    def transfer(source, target):
        mine = connect(protocol=client.connection_pool.connection_kwargs.get("protocol") or 2)
        for _ in range(20):
            def move(pipe):
                left, right = int(pipe.get(source)), int(pipe.get(target))
                pipe.multi()
                pipe.set(source, left - 1)
                pipe.set(target, right + 1)
            mine.transaction(move, source, target)

    threads = [threading.Thread(target=transfer, args=(accounts[i], accounts[(i + 1) % 4])) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [int(value) for value in client.mget(accounts)] == [100] * 4


def scans(client):
    client.flushall()
    for i in range(500):
        client.set(f"scan:{i}", i)
    assert len(set(client.scan_iter(match="scan:*", count=37))) == 500


def errors(client):
    client.rpush("wrong", 1)
    try:
        client.incr("wrong")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error) or "wrong kind" in str(error), error
    else:
        raise AssertionError("no error")


def messages(client):
    subscriber = client.pubsub()
    subscriber.subscribe("news")
    assert subscriber.get_message(timeout=10)["type"] == "subscribe"
    assert client.publish("news", "hello") == 1
    assert subscriber.get_message(timeout=10)["data"] == "hello"
    subscriber.close()


def blocking(client):
    result = []
    waiter = threading.Thread(target=lambda: result.append(connect().blpop(["queue:a", "queue:b"], timeout=10)))
    waiter.start()
    client.rpush("queue:b", "job")
    waiter.join()
    assert result == [("queue:b", "job")], result


for protocol in (2, 3):
    for step in (strings, collections, pipelines, transactions, scans, errors, messages, blocking):
        client = connect(protocol=protocol)
        client.flushall()
        try:
            step(client)
        except Exception as error:
            raise SystemExit(f"{step.__name__} with RESP{protocol}: {type(error).__name__}: {error}")
print("done")
