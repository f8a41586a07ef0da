"""Locks of other libraries: redlock-py, python-redis-lock, pottery's Redlock, django-redis, walrus."""

import threading

from story import PORT, URL, refusal, say, tell

import django
import redis
import redis_lock
from django.conf import settings
from pottery import NextID, Redlock
from redlock import MultipleRedlockException, Redlock as RedlockPy
from walrus import Database


def many(client, lock, count=5, rounds=10):
    """What threads count under a lock that is theirs alone."""
    client.set("counter", 0)

    def work():
        for _ in range(rounds):
            with lock():
                client.set("counter", int(client.get("counter")) + 1)

    threads = [threading.Thread(target=work) for _ in range(count)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return int(client.get("counter"))


def redlock_py(client):
    manager = RedlockPy([{"host": "127.0.0.1", "port": PORT}], retry_count=2, retry_delay=0.01)
    lock = manager.lock("rp", 20_000)
    say("redlock-py holds", [lock.resource, client.exists("rp")])
    say("redlock-py refuses", refusal(manager.lock, "rp", 1000))
    manager.unlock(lock)
    say("redlock-py lets go", client.exists("rp"))


def python_redis_lock(client):
    lock = redis_lock.Lock(client, "prl", expire=60, id="me")
    say("python-redis-lock holds", [lock.acquire(), lock.get_owner_id(), lock.locked()])
    say("python-redis-lock refuses", redis_lock.Lock(client, "prl").acquire(blocking=False))
    lock.extend(expire=100)
    say("python-redis-lock extends", client.ttl("lock:prl") > 60)
    waited = []
    waiter = threading.Thread(target=lambda: waited.append(redis_lock.Lock(client, "prl", expire=60).acquire(timeout=30)))
    waiter.start()
    while client.info("clients")["blocked_clients"] == 0:
        pass
    lock.release()
    waiter.join()
    say("python-redis-lock wakes who waits", waited)
    say("python-redis-lock releases twice", refusal(lock.release))
    redis_lock.reset_all(client)
    say("python-redis-lock resets", client.exists("lock:prl"))
    renewed = redis_lock.Lock(client, "renewed", expire=2, auto_renewal=True)
    with renewed:
        say("python-redis-lock renews", client.ttl("lock:renewed") > 0)
    say("python-redis-lock counts", many(client, lambda: redis_lock.Lock(client, "mutex", expire=60)))


def pottery_locks(client):
    lock = Redlock(key="pottery", masters={client}, auto_release_time=20)
    say("pottery holds", [lock.acquire(), lock.locked() > 10])
    say("pottery refuses", Redlock(key="pottery", masters={client}, auto_release_time=20).acquire(blocking=False))
    lock.extend()
    lock.release()
    say("pottery lets go", lock.locked())
    say("pottery releases twice", refusal(lock.release).split(":")[0])
    ids = NextID(key="ids", masters={client})
    say("pottery's ids", [next(ids), next(ids), next(ids)])
    say("pottery counts", many(client, lambda: Redlock(key="pm", masters={client}, auto_release_time=30), 3, 3))


def django_locks(client):
    settings.configure(CACHES={"default": {
        "BACKEND": "django_redis.cache.RedisCache", "LOCATION": URL,
        "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"},
    }})
    django.setup()
    from django.core.cache import cache

    cache.set("n", 1, timeout=100)
    say("django-redis counts", [cache.incr("n"), cache.incr("n", 40), cache.decr("n"), cache.get("n")])
    say("django-redis counts nothing", refusal(cache.incr, "none"))
    say("django-redis adds", [cache.add("added", 1), cache.add("added", 2)])
    cache.set_many({f"k{i}": i for i in range(20)})
    say("django-redis reads many", sorted(cache.get_many([f"k{i}" for i in range(25)]).values()))
    say("django-redis deletes a pattern", cache.delete_pattern("k*"))
    say("django-redis keeps time", [cache.ttl("n") > 90, cache.persist("n"), cache.ttl("n"), cache.touch("n", 50)])
    with cache.lock("lock", timeout=20):
        say("django-redis holds", cache.lock("lock", timeout=1).acquire(blocking=False))
    say("django-redis counts under a lock", many(client, lambda: cache.lock("mutex", timeout=30, sleep=0.001)))


def walrus_parts():
    db = Database(port=PORT, db=1)
    lock = db.lock("w", ttl=20_000)
    say("walrus holds", [lock.acquire(block=False), db.lock("w").acquire(block=False)])
    say("walrus lets go", [lock.release(), lock.acquire(block=False), lock.clear()])
    lua = db.rate_limit_lua("lua", limit=3, per=60)
    say("walrus limits", [lua.limit("user") for _ in range(5)])
    plain = db.rate_limit("plain", limit=3, per=60)
    say("walrus limits without a script", [plain.limit("user") for _ in range(5)])
    array = db.Array("array")
    array.extend(["a", "b", "c"])
    array.append("d")
    say("walrus keeps an array", [array.pop(0), array[0], len(array), list(array), "c" in array])
    db["cas"] = "old"
    say("walrus compares and sets", [bool(db.cas("cas", "old", "new")), bool(db.cas("cas", "old", "newer")), db["cas"]])
    words = db.autocomplete()
    words.store("1", "walrus in the sea")
    words.store("2", "walrus on land")
    say("walrus completes", sorted(words.search("wal")))
    graph = db.graph("people")
    graph.store("ann", "knows", "bob")
    graph.store("bob", "knows", "eve")
    who = graph.v.who
    say("walrus walks a graph", graph.search(("ann", "knows", who), (who, "knows", "eve"))["who"])
    index = db.Index("texts", stemmer=True)
    index.add("1", "the walrus sleeps on the ice", kind="animal")
    index.add("2", "ice in the sea", kind="thing")
    say("walrus finds", [document["content"] for document in index.search("ice walrus")])


def story():
    client = redis.Redis(port=PORT, socket_timeout=None)
    redlock_py(client)
    python_redis_lock(client)
    pottery_locks(client)
    django_locks(client)
    walrus_parts()


tell(story)
