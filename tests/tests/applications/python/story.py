"""What all programs here share. Each takes the port of a server as its argument, and prints what it
finds, a line each: the lines of Redis and of percore must be the same. The last one is "done"."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

LIMIT_SECONDS = 150
HERE = pathlib.Path(__file__).parent
PORT = int(os.environ.get("APPLICATION_PORT") or sys.argv[1])
URL = f"redis://127.0.0.1:{PORT}/0"

_at = "the beginning"
_workers = []


def say(what, value):
    global _at
    _at = what
    print(f"{what}: {json.dumps(value, default=repr)}", flush=True)


def refusal(function, *args, **kwargs):
    """What a call raises, as text."""
    try:
        return f"no error but {function(*args, **kwargs)!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def eventually(ask, accepts=bool):
    """Calls until the answer is accepted: for what no event tells."""
    while True:
        answer = ask()
        if accepts(answer):
            return answer
        time.sleep(0.01)


def nobody_waits(client):
    """Waits until the server has noticed that whoever waited in it for something is gone."""
    eventually(lambda: client.info("clients")["blocked_clients"] == 0)


class Worker:
    """A worker in a process of its own, which ends with this program."""

    def __init__(self, *command, **environment):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=HERE,
            env={**os.environ, "APPLICATION_PORT": str(PORT), "PYTHONPATH": str(HERE), **environment},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _workers.append(self)

    def kill(self):
        """Kills it, and all processes that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Asks it to end, and waits for that."""
        self.process.terminate()
        return self.process.wait()


def _end(code):
    for worker in _workers:
        worker.kill()
        if code:
            worker.log.seek(0)
            print("a worker's log ends with", worker.log.read().decode(errors="replace")[-4000:])
    sys.stdout.flush()
    os._exit(code)


def _too_long():
    print(f"nothing more within {LIMIT_SECONDS} s, after: {_at}")
    _end(1)


def tell(story):
    """Runs a program, with a limit to its time."""
    limit = threading.Timer(LIMIT_SECONDS, _too_long)
    limit.daemon = True
    limit.start()
    try:
        story()
    except BaseException:
        import traceback

        print(f"after {_at}: {traceback.format_exc()}")
        _end(1)
    print("done")
    _end(0)
