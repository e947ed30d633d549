"""A workflow and its tests: a month passes in no time, and the process dies everywhere.

    pytest resonate_sdk/examples/tested.py
    python -m resonate_sdk.examples.tested

Nothing is installed or started for such tests. `inline` calls a function like any other, the fixture
`env` has a server and a clock inside the test, `explore` lets the process die once at each place.
"""

from resonate_sdk import Context, Workflow
from resonate_sdk.testing import Environment, explore, fake, inline


def charge(ctx: Context, customer: str) -> int:
    """Take the money; nobody wants that in a test."""
    raise ConnectionError("no bank here")


def subscription(ctx: Context, customer: str, months: int) -> Workflow[int]:
    """Charge each month."""
    paid = 0
    for _ in range(months):
        paid += yield from ctx.run(charge, customer)
        yield from ctx.sleep(30 * 86_400)
    return paid


FREE_OF_CHARGE = fake(charge, returns=10)


def test_the_rule_itself() -> None:
    """As an ordinary call."""
    assert inline(subscription, "Ada", 3, register=[FREE_OF_CHARGE]) == 30


def test_it_takes_three_months(env: Environment) -> None:
    """With a clock that moves when the test says so."""
    env.worker(register=[subscription, FREE_OF_CHARGE])
    handle = env.client().begin_run("sub", subscription, "Ada", 3)

    env.advance(days=89)
    assert not handle.done()
    env.advance(days=1)
    assert handle.result() == 30


def test_a_crash_changes_nothing() -> None:
    """Once at every place where it matters."""
    explored = explore(subscription, args=["Ada", 2], register=[FREE_OF_CHARGE])

    assert explored.check().expected.value == 20


def main() -> None:
    """Run the tests without pytest."""
    test_the_rule_itself()
    with Environment() as env:
        test_it_takes_three_months(env)
    test_a_crash_changes_nothing()
    print("3 tests passed, 150 days in no time")


if __name__ == "__main__":
    main()
