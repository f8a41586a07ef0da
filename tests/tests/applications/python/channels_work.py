"""channels_redis: both layers, with channels, groups, a capacity, and what expires."""

import asyncio

from story import URL, refusal, say, tell

from channels.exceptions import ChannelFull
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer


async def core():
    layer = RedisChannelLayer([URL], capacity=3, channel_capacity={"wide*": 100}, expiry=60)
    other = RedisChannelLayer([URL], capacity=3, expiry=60)
    await layer.send("plain", {"type": "x", "text": "é", "bytes": b"\xff"})
    say("received", await other.receive("plain"))
    waiting = asyncio.create_task(other.receive("later"))
    await layer.send("later", {"n": 1})
    say("waited", await waiting)
    full = 0
    for n in range(5):
        try:
            await layer.send("narrow", {"n": n})
        except ChannelFull:
            full += 1
    say("full", full)
    say("what came in", [(await layer.receive("narrow"))["n"] for _ in range(3)])
    mine, theirs = await layer.new_channel(), await other.new_channel()
    for channel in (mine, theirs, "shared"):
        await layer.group_add("group", channel)
    await layer.group_send("group", {"text": "all"})
    say("a group", [(await layer.receive(mine))["text"], (await other.receive(theirs))["text"], (await layer.receive("shared"))["text"]])
    await layer.group_discard("group", "shared")
    for _ in range(5):
        await layer.group_send("group", {"text": "more"})
    say("no more than fit", [[(await where.receive(channel))["text"] for _ in range(3)] for where, channel in ((layer, mine), (other, theirs))])
    channels = [f"wide{n}" for n in range(30)]
    for channel in channels:
        await layer.group_add("many", channel)
    await asyncio.gather(*[layer.group_send("many", {"n": n}) for n in range(10)])
    heard = await asyncio.gather(*[layer.receive(channel) for channel in channels for _ in range(10)])
    say("many", sum(message["n"] for message in heard))
    await layer.flush()
    await layer.close_pools()
    await other.close_pools()


async def published():
    layer, other = RedisPubSubChannelLayer(hosts=[URL]), RedisPubSubChannelLayer(hosts=[URL])
    mine, theirs = await layer.new_channel(), await other.new_channel()
    await layer.group_add("group", mine)
    await other.group_add("group", theirs)
    await layer.group_send("group", {"text": "all"})
    say("published", [(await layer.receive(mine))["text"], (await other.receive(theirs))["text"]])
    await other.send(mine, {"text": "only you"})
    say("to one", (await layer.receive(mine))["text"])
    await layer.flush()
    await other.flush()


def story():
    asyncio.run(core())
    asyncio.run(published())


tell(story)
