"""A program that speaks Singer or Airbyte and does what a file says: for tests of what runs such programs.

Its settings name the file: {"streams": [...], "runs": [[step, ...], ...]}. Each run does the steps of its turn; the last
turn is repeated. What each run was given is added to the file's folder as a line of `runs.jsonl`.
"""

import json
import os
import signal
import subprocess
import sys
import time


def say(message):
    print(json.dumps(message, separators=(",", ":")), flush=True)


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


settings = read(option("--config"))
play = read(settings["play"])
folder = os.path.dirname(settings["play"])
log = os.path.join(folder, "runs.jsonl")
number = sum(1 for _ in open(log, encoding="utf-8")) if os.path.exists(log) else 0

if "--discover" in sys.argv or "discover" in sys.argv:
    if play.get("secretive"):
        print("there is nothing to see", file=sys.stderr)
        sys.exit(1)
    if "discover" in sys.argv:
        streams = [{"name": name, "json_schema": {}, "supported_sync_modes": ["full_refresh"]} for name in play["streams"]]
        say({"type": "CATALOG", "catalog": {"streams": streams}})
    else:
        streams = [{"tap_stream_id": name, "stream": name, "schema": {}, "metadata": []} for name in play["streams"]]
        print(json.dumps({"streams": streams}, indent=2))
    sys.exit(0)

state = read(option("--state")) if option("--state") else None
with open(log, "a", encoding="utf-8") as file:
    given = {
        "at": time.time(),
        "state": state,
        "settings": settings,
        "catalog": read(option("--catalog")),
        "variables": sorted(os.environ),
        "modes": [oct(os.stat(path).st_mode & 0o777) for path in (".", option("--config"), option("--catalog"))],
        "folder": os.getcwd(),
    }
    file.write(json.dumps(given) + "\n")


def count(to, every, pause):
    """Records from where the state says, each of somebody else, and a state after some of them."""
    for n in range((state or {}).get("n", 0) + 1, to + 1):
        say({"type": "RECORD", "stream": "orders", "record": {"id": n, "email": f"p{n}@example.com"}})
        if n % every == 0 or n == to:
            say({"type": "STATE", "value": {"n": n}})
        if pause:
            time.sleep(pause)


for step in play["runs"][min(number, len(play["runs"]) - 1)]:
    kind, value = next(iter(step.items()))
    if kind == "say":
        say(value)
    elif kind == "raw":
        print(value, flush=True)
    elif kind == "big":
        print(value + "x" * (17 << 20), flush=True)
    elif kind == "err":
        print(value.replace("PASSWORD", settings.get("password", "")), file=sys.stderr, flush=True)
    elif kind == "wait":
        time.sleep(value)
    elif kind == "exit":
        sys.exit(value)
    elif kind == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif kind == "child":
        child = subprocess.Popen(["sleep", "300"])
        with open(os.path.join(folder, "child"), "w", encoding="utf-8") as file:
            file.write(str(child.pid))
    elif kind == "count":
        count(*value)
    elif kind == "flood":
        for n in range(value):
            say({"type": "RECORD", "stream": "orders", "record": {"id": n, "email": f"p{n}@example.com"}})
            if n % 100 == 0:
                with open(os.path.join(folder, "flood"), "w", encoding="utf-8") as file:
                    file.write(str(n))
