"""Answer at once, and leave the work to an execution of its own.

    python -m resonate_sdk.examples.fire_and_forget [ID]

Whoever signs up does not wait for the mail. The id of the mail follows from that of the signup: a
form that is sent twice signs up once and mails once, and support can look the mail up by its id.
"""

import sys

from resonate_sdk import Context, Resonate, Workflow
from resonate_sdk.examples.services import attach

SECONDS_PER_MAIL = 0.2


def sign_up(ctx: Context, name: str) -> Workflow[str]:
    """Do what must be done now, and start the rest."""
    yield ctx.detached(welcome, name).options(id=f"{ctx.id}-mail")
    return f"{name} is signed up"


def welcome(ctx: Context, name: str) -> Workflow[str]:
    """Take as long as it takes."""
    yield ctx.sleep(SECONDS_PER_MAIL)
    return f"Welcome, {name}!"


def main(id: str = "signup-1") -> None:
    """Sign up, and look at the mail later."""
    with Resonate(group="fire-and-forget") as resonate:
        resonate.register(welcome)
        print(resonate.register(sign_up).run(id, "Ada"))
        mail = attach(resonate, f"{id}-mail")
        print("the mail is on its way" if not mail.done() else "the mail was quick")
        print(mail.result())


if __name__ == "__main__":
    main(*sys.argv[1:])
