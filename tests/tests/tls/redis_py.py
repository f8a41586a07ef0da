"""TLS through redis-py as it comes. The port is the argument, and the certificates lie here; an assertion fails the test."""

import ssl
import sys

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PORT = int(sys.argv[1])


def connect(**options):
    return redis.Redis(host="localhost", port=PORT, ssl=True, ssl_ca_certs="ca.crt", socket_timeout=20, **options)


def use(client):
    assert client.ping()
    value = b"v" * 1_000_000
    assert client.set("key", value)
    assert client.get("key") == value
    pipeline = client.pipeline(transaction=True)
    for i in range(1000):
        pipeline.set(f"k{i}", i)
    assert pipeline.execute() == [True] * 1000
    assert client.mget([f"k{i}" for i in range(1000)]) == [str(i).encode() for i in range(1000)]


try:
    connect(retry=Retry(NoBackoff(), 0)).ping()
    raise SystemExit("let in without a certificate")
except redis.ConnectionError:
    pass

certificate = {"ssl_certfile": "client.crt", "ssl_keyfile": "client.key"}
use(connect(**certificate))
use(connect(ssl_min_version=ssl.TLSVersion.TLSv1_3, **certificate))

admin = connect(**certificate)
assert admin.config_set("tls-auth-clients", "optional")
use(connect())
use(connect(**certificate))

with admin.pubsub() as heard:
    heard.subscribe("news")
    assert heard.get_message(timeout=20)["type"] == "subscribe"
    assert admin.publish("news", "text") == 1
    assert heard.get_message(timeout=20)["data"] == b"text"

print("done")
