"""Follows tasks with the Python SDK, a thread and a stream for each, and prints a line for each thing it is given, in the words of the protocol.

python3 follow.py SDK_FOLDER HUB TASK…
"""

import json
import sys
import threading

folder, hub, *tasks = sys.argv[1:]
sys.path.insert(0, f"{folder}/src")

import tasklight  # noqa: E402

lock = threading.Lock()


def say(**message: object) -> None:
    with lock:
        print(json.dumps(message), flush=True)


def follow(task: str) -> None:
    try:
        for event in tasklight.Client(hub=hub).follow(task):
            if isinstance(event, tasklight.Activity):
                say(
                    op="activity",
                    taskId=event.task_id,
                    offset=event.offset,
                    cursor=event.cursor,
                    eventId=event.event_id,
                    data={"n": event.data["n"]},
                )
            elif isinstance(event, tasklight.Subscribed):
                say(op="connected")
            elif isinstance(event, tasklight.Reset):
                say(op="reset", task=task, epoch=event.epoch)
            elif not isinstance(event, (tasklight.Live, tasklight.Reconnecting)):
                say(op=type(event).__name__.lower(), task=task)
    except Exception as error:
        say(op="ended", task=task, reason=repr(error))


threads = [threading.Thread(target=follow, args=[task]) for task in tasks]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
