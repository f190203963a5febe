"""Following, from threads and from asyncio. What all clients do alike is in test_conformance.py."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hub import PATIENCE, Hub
from proxy import Proxy
from stand_in import Answers

import tasklight


def publish(hub: Hub, task: str, *texts: str) -> None:
    items = [{"invocationId": "r", "type": "message", "data": {"text": text}} for text in texts]
    assert all(isinstance(one, tasklight.Receipt) for one in tasklight.Client(hub.url).publish(task, items))


def test_a_viewer_that_waits_can_be_closed_from_elsewhere(hub: Hub, task: str) -> None:
    follow = tasklight.Client(hub.url).follow(task)
    assert isinstance(next(follow), tasklight.Subscribed)
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.extend(follow))
    waiting.start()
    follow.close()
    waiting.join(5)
    assert not waiting.is_alive()
    assert list(follow) == []


def test_asyncio_follows_through_a_cut(hub: Hub, task: str) -> None:
    proxy = Proxy(hub.port)

    async def main() -> list[int]:
        client = tasklight.AsyncClient(proxy.url)
        offsets: list[int] = []
        async with client.follow(task) as events:
            async for event in events:
                if isinstance(event, tasklight.Subscribed) and not offsets:
                    await asyncio.to_thread(publish, hub, task, *map(str, range(600)))
                if isinstance(event, tasklight.Activity):
                    offsets.append(event.offset)
                    assert events.cursor == event.cursor
                if len(offsets) == 100:
                    proxy.cut()
                    await asyncio.to_thread(publish, hub, task, *map(str, range(400)))
                    proxy.mend()
                if len(offsets) == 1_000:
                    break
        return offsets

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == list(range(1, 1_001))
    proxy.close()


def test_a_wait_that_is_given_up_loses_nothing(hub: Hub, task: str) -> None:
    async def main() -> list[int]:
        offsets: list[int] = []
        async with tasklight.AsyncClient(hub.url).follow(task, types=["message"]) as events:
            assert isinstance(await events.__anext__(), tasklight.Subscribed)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(events.__anext__(), 0.2)
            await asyncio.to_thread(publish, hub, task, "a", "b")
            while len(offsets) < 2:
                event = await events.__anext__()
                if isinstance(event, tasklight.Activity):
                    offsets.append(event.offset)
        return offsets

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == [1, 2]


def test_what_cannot_be_followed_is_raised_with_the_hubs_code(hub: Hub, task: str) -> None:
    client = tasklight.Client(hub.url)
    with pytest.raises(tasklight.Refused) as error:
        next(client.follow(task, after="nonsense"))
    assert (error.value.code, error.value.status, error.value.field) == ("invalid_cursor", 400, "after")
    with pytest.raises(tasklight.SetupError, match="give one of them"):
        client.follow(task, after="end", last=3)

    async def main() -> None:
        with pytest.raises(tasklight.Refused):
            async for _ in tasklight.AsyncClient(hub.url).follow(task, types=["nonsense"]):
                pass

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_busy_hub_is_asked_again_when_it_said() -> None:
    hub = Answers((503, {"Retry-After": "7"}, {"code": "stopping", "detail": "this node is stopping", "status": 503}))
    hub_url = hub.url
    follow = tasklight.Client(hub_url).follow("t")
    event = next(follow)
    assert isinstance(event, tasklight.Reconnecting) and event.wait >= 7 and "stopping" in event.reason
    hub.close()


def test_a_hub_that_stops_says_when_to_come_back(start: Callable[..., Hub]) -> None:
    hub = start(TASKLIGHT__SESSION__DRAIN_SPREAD="50ms")
    publish(hub, "t", "a")
    with tasklight.Client(hub.url).follow("t") as follow:
        while not isinstance(next(follow), tasklight.Live):
            pass
        hub.stop()
        event = next(follow)
        assert isinstance(event, tasklight.Reconnecting) and event.reason == "the hub is stopping"
        hub.start()
        publish(hub, "t", "b")
        while not isinstance(event, tasklight.Activity):
            event = next(follow)
        assert event.data == {"text": "b"}


def test_the_rest_of_the_api_is_there(hub: Hub, task: str) -> None:
    client = tasklight.Client(hub.url)
    assert client.describe(task, title="A", labels={"team": task})["title"] == "A"
    publish(hub, task, *map(str, range(1_500)))
    assert [activity.offset for activity in client.activities(task, limit=400)] == list(range(1, 1_501))
    assert client.task(task)["head"] == 1_500
    assert [found["taskId"] for found in client.tasks(label=f"team={task}")["tasks"]] == [task]
    client.delete(task)
    with pytest.raises(tasklight.Refused) as error:
        client.task(task)
    assert (error.value.code, error.value.status, error.value.transient) == ("task_not_found", 404, False)
