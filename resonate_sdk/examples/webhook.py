"""A webhook: the event of a payment provider becomes an execution, however often it is delivered.

    python -m resonate_sdk.examples.webhook [EVENT]

Providers deliver an event again until they are answered, so the answer is given as soon as the
promise exists, and the id of the event is that of the execution. A crash after the charge repeats
no charge: it is a step, with the event as its key.
"""

import hashlib
import hmac
import json
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler

from resonate_sdk import Context, NonRetryable, Resonate, Workflow
from resonate_sdk.examples.services import serving

SECRET = b"shared with the provider"
SIGNATURE = "X-Signature"


def charge(ctx: Context, event: str, cents: int) -> str:
    """Charge a card, once per event: its provider takes the key for that."""
    if cents <= 0:
        raise NonRetryable(f"{cents} cents cannot be charged")
    print(f"charging {cents} cents for {event}")
    return f"receipt of {event}"


def write_ledger(ctx: Context, receipt: str) -> str:
    """Note it in the books."""
    return f"{receipt} is in the books"


def handle_event(ctx: Context, event: str, cents: int) -> Workflow[str]:
    """Charge, then note it."""
    receipt = yield from ctx.run(charge, event, cents)
    return (yield from ctx.run(write_ledger, receipt))


def sign(body: bytes) -> str:
    """What only the provider and we can make."""
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


class Webhook(BaseHTTPRequestHandler):
    """Takes events."""

    resonate: Resonate

    def do_POST(self) -> None:  # the standard library's name
        """Answer when the promise exists, not when its work is done."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 401
        if hmac.compare_digest(self.headers.get(SIGNATURE, ""), sign(body)):
            event = json.loads(body)
            self.resonate.begin_rpc(
                event["id"], "handle_event", event["id"], event["cents"]
            ).created()
            status = 200
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def deliver(url: str, body: bytes, signature: str) -> int:
    """Send an event, as its provider does; the status of the answer."""
    request = urllib.request.Request(url, body, {SIGNATURE: signature})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def main(event: str = "event-1") -> None:
    """Deliver an event three times, and somebody else's once."""
    body = json.dumps({"id": event, "cents": 500}).encode()
    with Resonate(group="webhook") as resonate:
        resonate.register(handle_event)
        with serving(type("Bound", (Webhook,), {"resonate": resonate})) as url:
            print([deliver(url, body, sign(body)) for _ in range(3)])
            print(deliver(url, body, "forged"))
        print(resonate.get(event).result())


if __name__ == "__main__":
    main(*sys.argv[1:])
