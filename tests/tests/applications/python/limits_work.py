"""limits, and Flask-Limiter on it: each of its strategies, whose counters are scripts."""

from concurrent.futures import ThreadPoolExecutor

from story import PORT, URL, eventually, say, tell

import flask
import limits
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits.storage import storage_from_string

STRATEGIES = {
    "fixed-window": limits.strategies.FixedWindowRateLimiter,
    "moving-window": limits.strategies.MovingWindowRateLimiter,
    "sliding-window-counter": limits.strategies.SlidingWindowCounterRateLimiter,
}


def story():
    storage = storage_from_string(URL)
    say("storage", storage.check())
    for name, strategy in STRATEGIES.items():
        limiter = strategy(storage)
        three = limits.parse("3 per day")
        say(f"{name} hits", [limiter.hit(three, name, "user") for _ in range(5)])
        say("tests", [limiter.test(three, name, "user"), limiter.test(three, name, "other")])
        say("remaining", limiter.get_window_stats(three, name, "user").remaining)
        say("cost", [limiter.hit(three, name, "costly", cost=2), limiter.hit(three, name, "costly", cost=2)])
        limiter.clear(three, name, "user")
        say("cleared", limiter.hit(three, name, "user"))
        many = limits.parse("25 per day")
        with ThreadPoolExecutor(8) as pool:
            passed = list(pool.map(lambda _: limiter.hit(many, name, "crowd"), range(100)))
        say("of a crowd pass", sum(passed))
        brief = limits.parse("1 per second")
        limiter.hit(brief, name, "brief")
        eventually(lambda: limiter.hit(brief, name, "brief"))
        say("a new window", True)
        app = flask.Flask(__name__)
        guard = Limiter(get_remote_address, app=app, storage_uri=URL, strategy=name, headers_enabled=True,
                        key_prefix=name, default_limits=["10 per day"])

        @app.route("/")
        @guard.limit("2 per day")
        def hello():
            return "hello"

        @app.route("/default")
        def default():
            return "hello"

        web = app.test_client()
        replies = [web.get("/") for _ in range(3)]
        say("pages", [(reply.status_code, reply.headers["X-RateLimit-Remaining"]) for reply in replies])
        say("default", [web.get("/default").status_code for _ in range(12)])
    say("reset", storage.reset() > 0)


tell(story)
