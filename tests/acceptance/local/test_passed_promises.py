"""Promises as arguments of remote calls: another service waits for what this one began."""

import pytest

from resonate_sdk import Context, EncodeError, Promise, Workflow
from resonate_sdk.testing import Environment


def quote(ctx: Context, item: str) -> Workflow[int]:
    yield ctx.sleep(3_600)
    return len(item)


def order(ctx: Context, price: Promise[int], approvals: list[Promise[str]]) -> Workflow[str]:
    by = yield ctx.all(approvals)
    return f"{(yield price)} by {', '.join(by)}"


def plain_order(ctx, price, approvals):
    return (yield from order(ctx, price, approvals))


def shop(ctx: Context, func: str) -> Workflow[str]:
    price = yield ctx.begin_rpc("quote", "tea").options(target="prices")
    approval = yield ctx.promise(id=f"approval-{func}")
    return (yield ctx.rpc(func, price, [approval]).options(target="orders"))


@pytest.mark.parametrize("func", ["order", "plain_order"])
@pytest.mark.parametrize("is_crashed", [False, True])
def test_a_callee_in_another_group_waits_for_promises_of_its_caller(func, is_crashed):
    with Environment() as env:
        functions = [quote, order, plain_order, shop]
        workers = [env.worker(group, register=functions) for group in ("shop", "prices", "orders")]
        handle = env.client("caller").options(target="shop").begin_rpc("x", "shop", func)
        env.run_until_idle()
        if is_crashed:
            env.restart(workers[2])
        env.promises.resolve(f"approval-{func}", "Ada")

        assert handle.result() == "3 by Ada"
        assert env.elapsed_s >= 3_600


def test_a_program_may_pass_on_a_promise_that_it_knows_by_its_id():
    with Environment() as env:
        env.worker(register=[order])
        client = env.client("caller").options(target="default")
        for id in ("price", "approval"):
            client.promises.create(id)
        handle = client.begin_rpc("x", "order", Promise("price"), [Promise("approval")])
        env.promises.resolve("price", 5)
        env.promises.resolve("approval", "Bob")

        assert handle.result() == "5 by Bob"


def test_what_is_run_here_alone_is_not_passed_on():
    def parent(ctx):
        local = yield ctx.begin_run(quote, "tea")
        yield ctx.rpc("order", local, [])

    with Environment() as env:
        env.worker(register=[parent, quote])
        handle = env.client("caller").options(target="default").begin_rpc("x", "parent")

        with pytest.raises(
            EncodeError, match=r"begin it with ctx\.begin_rpc, or pass on its value"
        ):
            handle.result()
