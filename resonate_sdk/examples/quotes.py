"""Two services asked at the same time, and their answers combined.

    python -m resonate_sdk.examples.quotes [ID]

Both work while nobody waits; the buyer sleeps until the first answer is needed, and again until the
second is there. If it dies in between, what was answered is not asked again.
"""

import sys

from resonate_sdk import Context, Workflow
from resonate_sdk.examples.services import started


def buy(ctx: Context, item: str) -> Workflow[str]:
    """Begin both calls, then wait for each."""
    mill = yield ctx.begin_rpc("mill", item).options(target="service-mill")
    forge = yield ctx.begin_rpc("forge", item).options(target="service-forge")
    offers: dict[str, int] = {}
    offers["mill"] = yield mill
    offers["forge"] = yield forge
    best = min(offers, key=lambda name: offers[name])
    return f"{item} from the {best} for {offers[best]}"


def mill(ctx: Context, item: str) -> int:
    """One supplier."""
    return 30


def forge(ctx: Context, item: str) -> int:
    """Another one."""
    return 20


SERVICES = {"service-buyer": buy, "service-mill": mill, "service-forge": forge}


def main(id: str = "quotes-1") -> None:
    """Buy something where it is cheapest."""
    with started(SERVICES) as client:
        print(client.options(target="service-buyer").rpc(id, "buy", "a kettle"))


if __name__ == "__main__":
    main(*sys.argv[1:])
