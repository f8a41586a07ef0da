"""The functions that rq_works.py has done by workers."""

import os

import redis
from rq import get_current_job

URL = f"redis://127.0.0.1:{os.environ['APPLICATION_PORT']}/0"


def add(x, y):
    return x + y


def fail(text):
    raise ValueError(text)


def flaky(name, wanted):
    made = redis.from_url(URL, socket_timeout=None).incr(f"flaky:{name}")
    if made < wanted:
        raise RuntimeError(f"attempt {made}")
    return made


def note(text):
    redis.from_url(URL, socket_timeout=None).rpush("notes", text)


def of_dependencies():
    job = get_current_job()
    return sum(dependency.return_value() for dependency in job.fetch_dependencies())


def hold(name):
    client = redis.from_url(URL, socket_timeout=None)
    client.lpush(f"{name}:begun", os.getpid())
    client.blpop(f"{name}:go")
    return name


def succeeded(job, connection, result):
    connection.rpush("callbacks", f"succeeded with {result}")


def failed(job, connection, kind, value, trace):
    connection.rpush("callbacks", f"failed with {value}")
