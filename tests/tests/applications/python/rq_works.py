"""RQ with workers and a scheduler in processes of their own."""

import os
import signal
from datetime import datetime, timedelta, timezone

from story import PORT, URL, Worker, eventually, nobody_waits, say, tell

os.environ["APPLICATION_PORT"] = str(PORT)

import redis
from rq import Callback, Queue, Repeat, Retry
from rq.command import send_stop_job_command
from rq.group import Group
from rq.job import Dependency, Job
from rq.registry import StartedJobRegistry
from rq_jobs import add, fail, failed, flaky, hold, note, of_dependencies, succeeded

WORKER = ("-m", "rq.cli", "worker", "--url", URL, "--with-scheduler")


def story():
    client = redis.from_url(URL, socket_timeout=None)
    queue, high = Queue("default", connection=client), Queue("high", connection=client)

    def value(job):
        return job.latest_result(timeout=60).return_value

    def status(job, *wanted):
        return eventually(lambda: str(job.get_status().value), lambda is_now: is_now in wanted)

    waiting = queue.enqueue(note, "low")
    high.enqueue(note, "high", at_front=True)
    say("waiting", [queue.count, high.count, queue.get_job_position(waiting)])
    removed = queue.enqueue(note, "removed")
    removed.delete()
    cancelled = queue.enqueue(note, "cancelled")
    cancelled.cancel()
    say("removed", [queue.count, Job.exists(removed.id, client), cancelled.get_status().value])

    worker = Worker(*WORKER, "high", "default")
    say("a job", value(queue.enqueue(add, 2, 3)))
    say("in order", client.lrange("notes", 0, -1))
    many = queue.enqueue_many([Queue.prepare_data(add, (i, 1)) for i in range(20)])
    say("many", sum(value(job) for job in many))
    job = queue.enqueue(fail, "so")
    say("a failure", [status(job, "failed"), job.latest_result().exc_string.splitlines()[-1]])
    say("failed", len(queue.failed_job_registry))
    say("retried", value(queue.enqueue(flaky, "a", 3, retry=Retry(max=4))))
    say("retried later", value(queue.enqueue(flaky, "b", 2, retry=Retry(max=2, interval=1))))
    job = queue.enqueue(flaky, "c", 9, retry=Retry(max=1))
    say("retried in vain", [status(job, "failed"), int(client.get("flaky:c"))])
    first, second = queue.enqueue(add, 1, 2), queue.enqueue(add, 3, 4)
    say("dependencies", value(queue.enqueue(of_dependencies, depends_on=[first, second])))
    broken = queue.enqueue(fail, "first")
    deferred = queue.enqueue(add, 1, 1, depends_on=broken)
    allowed = queue.enqueue(add, 2, 2, depends_on=Dependency(broken, allow_failure=True))
    say("a dependency that fails", [value(allowed), deferred.get_status().value])
    say("in a second", value(queue.enqueue_in(timedelta(seconds=1), add, 5, 6)))
    say("at a time", value(queue.enqueue_at(datetime.now(timezone.utc), add, 6, 6)))
    say("scheduled", len(queue.scheduled_job_registry))
    queue.enqueue(note, "again", repeat=Repeat(times=2, interval=1))
    say("repeated", eventually(lambda: client.lrange("notes", 0, -1).count(b"again"), lambda n: n == 3))
    value(queue.enqueue(add, 1, 2, on_success=Callback(succeeded)))
    status(queue.enqueue(fail, "told", on_failure=Callback(failed)), "failed")
    say("callbacks", [client.blpop("callbacks")[1], client.blpop("callbacks")[1]])
    group = Group.create(connection=client)
    jobs = group.enqueue_many(queue, [Queue.prepare_data(add, (i, i)) for i in range(3)])
    say("a group", [value(job) for job in jobs])
    held = queue.enqueue(hold, "stopped")
    client.blpop("stopped:begun")
    send_stop_job_command(client, held.id)
    say("stopped", status(held, "stopped"))
    unique = queue.enqueue(add, 1, 1, job_id="mine")
    say("its own id", [value(unique), Job.fetch("mine", client).return_value()])

    lost = queue.enqueue(hold, "lost", retry=Retry(max=1))
    horse = int(client.blpop("lost:begun")[1])
    worker.kill()
    os.kill(horse, signal.SIGKILL)
    nobody_waits(client)
    registry = StartedJobRegistry(queue=queue)
    say("started", len(registry))
    registry.cleanup(timestamp=2**33)
    eventually(lambda: len(registry) == 0)
    say("after the worker was killed", [lost.get_status().value, queue.count])
    client.lpush("lost:go", 1)
    worker = Worker(*WORKER, "--burst", "high", "default")
    say("done by another", value(lost))
    say("burst", worker.process.wait())
    say("emptied", [queue.enqueue(add, 1, 1) and queue.empty(), queue.count])


tell(story)
