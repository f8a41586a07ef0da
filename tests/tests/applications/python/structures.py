"""pottery's structures: dictionaries, sets, counters and filters that live in the server."""

import redis
from pottery import (
    BloomFilter, HyperLogLog, RedisCounter, RedisDeque, RedisDict, RedisList, RedisSet, RedisSimpleQueue, redis_cache,
)

from story import PORT, refusal, say, tell


def story():
    client = redis.Redis(port=PORT, socket_timeout=None)
    tel = RedisDict({"jack": 4098, "sape": 4139}, redis=client, key="tel")
    tel["guido"] = 4127
    del tel["sape"]
    say("a dictionary", sorted(tel.items()))
    say("nothing there", refusal(lambda: tel["nobody"]))
    basket = RedisSet({"apple", "orange", "pear"}, redis=client, key="basket")
    say("a set", [sorted(basket), "apple" in basket, basket.issubset({"apple", "orange", "pear", "fig"})])
    squares = RedisList([1, 4, 9, 16, 25], redis=client, key="squares")
    squares[1:3] = [5, 6]
    squares.insert(2, 99)
    del squares[0]
    say("a list", [list(squares), squares[-1], squares[1:3]])
    counter = RedisCounter("gallahad", redis=client, key="counter")
    counter.update({"a": 3})
    counter.subtract({"l": 1})
    say("a counter", sorted(counter.most_common()))
    deque = RedisDeque("ghi", redis=client, key="deque", maxlen=4)
    deque.append("j")
    deque.append("k")
    deque.rotate(1)
    say("a deque", [list(deque), deque.popleft()])
    queue = RedisSimpleQueue(redis=client, key="queue")
    queue.put("a")
    queue.put("b")
    say("a queue", [queue.get(), queue.qsize(), queue.empty()])
    bloom = BloomFilter(num_elements=100, false_positives=0.001, redis=client, key="bloom")
    bloom.update({"rajiv", "raj"})
    say("a filter", ["rajiv" in bloom, "eve" in bloom, len(bloom)])
    hll = HyperLogLog({str(n) for n in range(100)}, redis=client, key="hll")
    say("estimated", [len(hll), "5" in hll])
    calls = []

    @redis_cache(redis=client, key="cached")
    def square(n):
        calls.append(n)
        return n * n

    say("cached", [square(3), square(3), square(4), calls, square.cache_info().hits])


tell(story)
