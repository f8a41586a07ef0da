"""The tasks of celery_works.py, as a worker loads them."""

import os

import redis
from celery import Celery
from celery.exceptions import Reject

URL = f"redis://127.0.0.1:{os.environ['APPLICATION_PORT']}/0"
app = Celery("celery_tasks", broker=URL, backend=URL)
app.conf.update(
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    task_track_started=True,
    result_extended=True,
    broker_connection_retry_on_startup=True,
    # When what a dead worker had comes back, which is looked for under a lock that it may hold.
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("VISIBILITY", "3600")),
        "unacked_mutex_expire": 1,
    },
)


@app.task
def add(x, y):
    return x + y


@app.task
def total(values):
    return sum(values)


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=3)
def flaky(self, wanted):
    if self.request.retries < wanted:
        raise self.retry(countdown=0.05, exc=RuntimeError(f"attempt {self.request.retries}"))
    return self.request.retries


@app.task(bind=True)
def progress(self, text):
    self.update_state(state="PROGRESS", meta={"at": text})
    redis.from_url(URL, socket_timeout=None).blpop("progress:go")
    return text


@app.task
def hold(name):
    """Says that it has begun, and waits to be let go."""
    client = redis.from_url(URL, socket_timeout=None)
    client.lpush(f"{name}:begun", os.getpid())
    client.blpop(f"{name}:go")
    return name


@app.task
def refuse():
    raise Reject("no", requeue=False)
