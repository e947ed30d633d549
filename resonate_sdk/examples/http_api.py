"""Long work behind HTTP: one request begins it, others ask how it stands.

    python -m resonate_sdk.examples.http_api [ID]

    POST /begin?id=ID    begins the work, or finds it begun: clients may repeat their requests
    GET /wait?id=ID      waits a while for it: 200 with the result, 202 while it is pending, or 404

The id is the client's, so a request that is sent twice is one execution. The gateway keeps nothing:
kill it, start another, and ask that one. Any web framework does; this is the standard library's.
"""

import json
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from resonate_sdk import Context, HandleTimeout, NotFoundError, Resonate, Workflow
from resonate_sdk.examples.services import serving

WAIT_S = 10.0


def step(ctx: Context, number: int) -> int:
    """Do a part of the work."""
    return number * number


def work(ctx: Context, count: int) -> Workflow[int]:
    """Do it all."""
    total = 0
    for number in range(count):
        total += yield from ctx.run(step, number)
    return total


class Gateway(BaseHTTPRequestHandler):
    """Turns requests into calls. Each runs on a thread of its own, so it may block."""

    resonate: Resonate

    def do_POST(self) -> None:  # the standard library's name
        """Begin the work."""
        id = self._id()
        self.resonate.begin_rpc(id, "work", 5).created()
        self._answer(202, {"id": id})

    def do_GET(self) -> None:  # likewise
        """Wait for it."""
        try:
            value = self.resonate.get(self._id()).result(WAIT_S)
        except NotFoundError:
            self._answer(404, {"state": "unknown"})
        except HandleTimeout:
            self._answer(202, {"state": "pending"})
        else:
            self._answer(200, {"state": "resolved", "value": value})

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def _id(self) -> str:
        return parse_qs(urlsplit(self.path).query)["id"][0]

    def _answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


def ask(method: str, url: str) -> str:
    """Ask the gateway; status and body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            return f"{answer.status} {answer.read().decode()}"
    except urllib.error.HTTPError as error:
        with error:
            return f"{error.code} {error.read().decode()}"


def main(id: str = "work-1") -> None:
    """Be the gateway, its worker and its client."""
    with Resonate(group="http-api") as resonate:
        resonate.register(work)
        with serving(type("Bound", (Gateway,), {"resonate": resonate})) as url:
            print(ask("GET", f"{url}/wait?id={id}-unknown"))
            for _ in range(2):
                print(ask("POST", f"{url}/begin?id={id}"))
            print(ask("GET", f"{url}/wait?id={id}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
