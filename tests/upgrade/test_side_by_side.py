"""A rolling upgrade: a hub of the older release with data, one of this release that joins it, publishers and viewers at both, then the older one
goes. Nothing may be lost, repeated, reordered or begun anew."""

import http.client
import json
import os
import subprocess
import threading
import time
import uuid

import pytest
import redis
from hub import Hub, eventually, message
from viewer import Viewer

POSTGRES, REDIS = os.environ["TASKLIGHT_TEST_POSTGRES_URL"], os.environ["TASKLIGHT_TEST_REDIS_URL"]
TASKS = ["build", "deploy"]
# How long publishing goes on in each of the three parts: older alone, both, newer alone.
PART_SECONDS = 4


class Release(Hub):
    """A hub of the program in `binary`, on the shared store."""

    def __init__(self, binary, database, prefix, directory):
        self.binary, self.database = binary, database
        env = {"BROKER__URL": REDIS, "BROKER__PREFIX": prefix, "SESSION__DRAIN_SPREAD": "1s"}
        super().__init__(directory, {f"TASKLIGHT__{name}": value for name, value in env.items()})

    def command(self):
        return [self.binary, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store", self.database]


class Place:
    """What a viewer has seen, through all its connections."""

    def __init__(self):
        self.seen, self.cursor, self.connections, self.trouble = [], None, 0, []

    def take(self, told):
        if told["op"] == "activity":
            self.seen.append((told["offset"], told["eventId"]))
            self.cursor = told["cursor"]
        elif told["op"] in ("reset", "truncated", "unsubscribed"):
            self.trouble.append(told)


class Scene:
    def __init__(self, folder):
        self.prefix, name = f"test-{uuid.uuid4().hex[:12]}:", f"test_{uuid.uuid4().hex[:16]}"
        self.folder, self.name = folder, name
        self.database = f"{POSTGRES.rsplit('/', 1)[0]}/{name}"
        self.sql(POSTGRES, f"CREATE DATABASE {name}")
        self.hubs, self.over, self.threads = [], threading.Event(), []
        self.receipts, self.acked, self.places = {}, {}, {}
        self.failures, self.lock = [], threading.Lock()

    @staticmethod
    def sql(url, text):
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text, url], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def start(self, binary):
        directory = self.folder / f"hub-{uuid.uuid4().hex[:4]}"
        directory.mkdir()
        hub = Release(binary, self.database, self.prefix, str(directory))
        eventually(lambda: hub.admin("/readyz").json.get("degraded") is False, 30, "it is no member")
        self.hubs.append(hub)
        return hub

    def spawn(self, work, *arguments):
        def run():
            try:
                work(*arguments)
            except Exception as failure:  # said by the test itself
                self.failures.append(f"{work.__name__}{arguments}: {failure!r}")

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def publish_http(self, task, number):
        """Batches in order, each sent again until it has receipts, at each hub in turn."""
        n = 0
        while not self.over.is_set():
            batch = [message(f"{n}", f"http-{number}", eventId=str(uuid.uuid4())) for n in range(n, n + 3)]
            n += 3
            while True:
                hub = self.hubs[n % len(self.hubs)]
                try:
                    answer = hub.post(task, batch)
                except OSError:
                    time.sleep(0.05)
                    continue
                if answer.status == 200:
                    break
                assert answer.status in (429, 503), answer
                time.sleep(0.1)
            with self.lock:
                for sent, result in zip(batch, answer.json["results"], strict=True):
                    self.receipts[task, sent["eventId"]] = result["offset"]
            time.sleep(0.01)

    def publish_redis(self, task):
        """One at a time, each sent again until it is acked."""
        client = redis.Redis.from_url(REDIS)
        acks = client.pubsub(ignore_subscribe_messages=True)
        acks.subscribe(f"{self.prefix}ack:{task}")
        n = 0
        while not self.over.is_set():
            event, n = str(uuid.uuid4()), n + 1
            body = json.dumps(message(f"{n}", "redis", eventId=event))
            end, acked, again = time.monotonic() + 30, False, 0.0
            while not acked:
                assert time.monotonic() < end, f"{event} is not acked"
                if again < time.monotonic():
                    if client.publish(f"{self.prefix}task:{task}", body) == 0:
                        client.publish(f"{self.prefix}tasks", json.dumps({"taskId": task}))
                        again = time.monotonic() + 0.05
                    else:
                        again = time.monotonic() + 5
                told = acks.get_message(timeout=0.05)
                acked = bool(told) and event in json.loads(told["data"]).get("eventIds", [])
            with self.lock:
                self.acked[task, event] = n

    def watch_socket(self, task, first, place):
        while not self.over.is_set():
            try:
                with Viewer(first if first in self.hubs else self.hubs[-1]) as viewer:
                    place.connections += 1
                    viewer.subscribe(task, **({"after": place.cursor} if place.cursor else {}))
                    while not self.over.is_set():
                        try:
                            place.take(viewer.next(0.5))
                        except TimeoutError:
                            pass
            except Exception:
                time.sleep(0.1)

    def watch_stream(self, task, first, place):
        while not self.over.is_set():
            hub = first if first in self.hubs else self.hubs[-1]
            connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
            try:
                headers = {"Last-Event-ID": place.cursor} if place.cursor else {}
                connection.request("GET", f"/v1/tasks/{task}/stream", headers=headers)
                answer = connection.getresponse()
                place.connections += answer.status == 200
                while line := answer.readline():
                    if line.startswith(b"data: "):
                        place.take(json.loads(line[6:]))
                    if self.over.is_set():
                        break
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.1)

    def watch(self, hub, name):
        for task in TASKS:
            for kind in (self.watch_socket, self.watch_stream):
                place = self.places[name, task, kind.__name__] = Place()
                self.spawn(kind, task, hub, place)

    def close(self):
        self.over.set()
        for hub in self.hubs:
            hub.stop()
        self.sql(POSTGRES, f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path)
    yield scene
    scene.close()


def test_nothing_is_lost_while_a_newer_release_takes_over(scene):
    older = scene.start(os.environ["TASKLIGHT_OLD_BIN"])
    level = scene.sql(scene.database, "SELECT max(version) FROM _sqlx_migrations")
    for task in TASKS:
        for number in range(2):
            scene.spawn(scene.publish_http, task, number)
        scene.spawn(scene.publish_redis, task)
    scene.watch(older, "older")
    time.sleep(PART_SECONDS)
    alone = len(scene.receipts) + len(scene.acked)

    newer = scene.start(os.environ["TASKLIGHT_BIN"])
    levels = level + scene.sql(scene.database, "SELECT max(version) FROM _sqlx_migrations")
    scene.watch(newer, "newer")
    time.sleep(PART_SECONDS)
    both = len(scene.receipts) + len(scene.acked)

    scene.hubs.remove(older)
    older.terminate()
    assert older.wait(30) == 0, "the older one stops in order"
    time.sleep(PART_SECONDS)
    scene.over.set()
    for thread in scene.threads[: len(TASKS) * 3]:
        thread.join(40)
    assert not scene.failures, scene.failures
    total = len(scene.receipts) + len(scene.acked)
    assert 0 < alone < both < total, "each part had its share"

    for task in TASKS:
        log = [(entry["offset"], entry["eventId"]) for entry in newer.activities(task)]
        assert [offset for offset, _ in log] == list(range(1, len(log) + 1)), "no holes"
        place_of = {event: offset for offset, event in log}
        assert len(place_of) == len(log), "nothing twice"
        for (of, event), offset in scene.receipts.items():
            assert of != task or place_of.get(event) == offset, f"{event} has a receipt for {offset}"
        assert not [event for of, event in scene.acked if of == task and event not in place_of], "what was acked is there"
        for run in ("http-0", "http-1", "redis"):
            texts = [int(entry["data"]["text"]) for entry in newer.activities(task, f"&invocation={run}")]
            assert texts == sorted(set(texts)), f"{run} keeps its order"
        for (name, of, kind), place in scene.places.items():
            if of == task:
                assert place.trouble == [], (name, kind, place.trouble)
                # The last of them may have been under way when all was over.
                assert place.seen == log[: len(place.seen)] and len(log) * 0.8 < len(place.seen), (name, kind, len(place.seen), len(log))
                assert place.connections == (2 if name == "older" else 1), (name, kind, place.connections)
    print(f"\nlevels {levels}: {total} confirmed ({alone} by the older alone, {both - alone} beside each other), {len(scene.places)} viewers saw all of it")
