#!/usr/bin/env python3
"""An agent that says live what it does, by plain HTTP and with nothing but Python's own library.

    python3 docs/examples/python/agent.py                       counts words in the files of this folder
    python3 docs/examples/python/agent.py docs --task counting

TASKLIGHT_HUB names the hub (http://127.0.0.1:8080), TASKLIGHT_TOKEN a token if it wants one. Python 3.9 or newer.

The class Run is all that is needed to publish; the rest is the agent. Each activity has an eventId: after an error the same is sent again, and
the hub stores it once.
"""

import argparse
import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

HUB = os.environ.get("TASKLIGHT_HUB", "http://127.0.0.1:8080").rstrip("/")
TOKEN = os.environ.get("TASKLIGHT_TOKEN")
TRIES = 8


class Refused(Exception):
    """The hub does not want this, and would not want it again."""


class Run:
    """One invocation: `with Run("task", agent="x") as run: run.message("hi")`. What is raised inside makes it failed."""

    def __init__(self, task, agent, title, invocation=None):
        self.address = f"{HUB}/v1/tasks/{urllib.parse.quote(task, safe='')}/activities"
        self.invocation = invocation or f"run-{uuid.uuid4().hex[:12]}"
        self.first = {"status": "running", "agent": agent, "title": title}
        self.calls = 0

    def __enter__(self):
        self.publish("status", **self.first)
        return self

    def __exit__(self, kind, error, _trace):
        if kind is None:
            self.publish("status", status="completed", exitCode=0)
        elif issubclass(kind, KeyboardInterrupt):
            self.publish("status", status="cancelled", reason="interrupted")
        else:
            self.publish("error", message=str(error), code=kind.__name__)
            self.publish("status", status="failed", reason=str(error))

    def publish(self, kind, **data):
        activity = {
            "invocationId": self.invocation,
            "type": kind,
            "eventId": str(uuid.uuid4()),
            "timestamp": int(time.time() * 1000),
            "data": data,
        }
        headers = {"content-type": "application/json"}
        if TOKEN:
            headers["authorization"] = f"Bearer {TOKEN}"
        request = urllib.request.Request(self.address, json.dumps(activity).encode(), headers)
        for attempt in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)["results"][0]
            except urllib.error.HTTPError as error:
                if error.code not in (408, 429, 500, 502, 503, 504):
                    problem = json.load(error)
                    raise Refused(f"{problem['detail']} ({problem['code']})") from error
            except OSError:
                pass  # The hub is away, or the connection was lost.
            time.sleep(min(0.2 * 2**attempt, 5))
        raise ConnectionError(f"{HUB} does not answer")

    def message(self, text, role="assistant"):
        self.publish("message", role=role, text=text)

    def tool(self, name, function, **arguments):
        """Calls a function as a tool: the call and its result are seen."""
        self.calls += 1
        call = f"{self.invocation}:{self.calls}"
        self.publish("tool_call", toolCallId=call, name=name, input=arguments)
        try:
            result = function(**arguments)
        except OSError as error:
            self.publish("tool_result", toolCallId=call, output=str(error), isError=True)
            return None
        self.publish("tool_result", toolCallId=call, output=result)
        return result


def count_words(path):
    return len(pathlib.Path(path).read_text(errors="replace").split())


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", nargs="?", default=".")
    arguments.add_argument("--task", default="counting")
    options = arguments.parse_args()
    files = sorted(str(path) for path in pathlib.Path(options.folder).glob("*.*") if path.is_file())
    with Run(options.task, agent="python", title=f"Count the words in {options.folder}") as run:
        run.message(f"How many words are in {options.folder}?", role="user")
        run.publish("thinking", text=f"There are {len(files)} files. I count one after the other.")
        total = 0
        for number, path in enumerate(files, 1):
            total += run.tool("count_words", count_words, path=path) or 0
            run.publish("progress", current=number, total=len(files))
        run.message(f"{total} words in {len(files)} files.")
        run.publish("usage", inputTokens=total, outputTokens=12)
    print(f"{total} words; watch {HUB}/tasks/{options.task}")


if __name__ == "__main__":
    try:
        main()
    except (Refused, ConnectionError) as error:
        sys.exit(f"agent: {error}")
