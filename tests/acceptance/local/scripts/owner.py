"""Opens a file of promises and keeps it; an error of ours is told in its own words."""

import sys

from resonate_sdk import Resonate, ResonateError

try:
    client = Resonate.local(path=sys.argv[1])
except ResonateError as error:
    print(f"refused {error}", flush=True)  # noqa: T201
    sys.exit(1)
client.promises.create("p")
print("opened", flush=True)  # noqa: T201
sys.stdin.readline()
print("state", client.promises.get("p").state, flush=True)  # noqa: T201
client.stop()
print("stopped", flush=True)  # noqa: T201
