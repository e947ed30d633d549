"""Every small example: in one process, on a real server, and with a crash at every place."""

import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from msgspec import Struct

from resonate_sdk.examples import approval, failures, fibonacci, money, pipeline, saga, structure
from resonate_sdk.examples.deadline import slow_answer
from resonate_sdk.testing import Environment, Exploration, explore
from tests.acceptance.seeds.conftest import Place


class Example(Struct, frozen=True, kw_only=True):
    """An example, and what comes out of it.

    Attributes:
        printed: its last line when it is run.
        workflow: the function that is made to crash.
        ends_with: what that returns, whatever happens.
    """

    printed: str
    workflow: str
    ends_with: Any
    args: Sequence[Any] = ()
    register: Sequence[Any] = ()


EXAMPLES: Mapping[str, Example] = {
    "hello": Example(
        printed="Hello World!", workflow="hello", args=["World"], ends_with="Hello World!"
    ),
    "notifications": Example(
        printed="push: the build is green",
        workflow="notify",
        args=["x"],
        ends_with=["email: x", "sms: x", "slack: x", "push: x"],
    ),
    "saga": Example(
        printed="no trip: no car left",
        workflow="trip",
        args=["hotel"],
        ends_with="no trip: no hotel left",
    ),
    "fibonacci": Example(printed="fib(12) = 144", workflow="fib", args=[4, "memory"], ends_with=3),
    "countdown": Example(
        printed="lift-off", workflow="countdown", args=[2, 60], ends_with="lift-off"
    ),
    "deadline": Example(
        printed="no answer in time",
        workflow="ask",
        args=[3_600, 60],
        register=[slow_answer],
        ends_with="no answer in time",
    ),
    "pipeline": Example(
        printed="79.90 until 2026-01-31, for ['GOODS', 'SHIPPING']",
        workflow="bill",
        args=["tea"],
        ends_with=pipeline.Invoice(
            pipeline.date(2026, 1, 31),
            (
                pipeline.Line(pipeline.Kind.GOODS, Decimal("37.50")),
                pipeline.Line(pipeline.Kind.SHIPPING, Decimal("4.90")),
            ),
        ),
    ),
    "polling": Example(
        printed="finished at look 3", workflow="wait_for_job", ends_with="finished at look 3"
    ),
    "structure": Example(
        printed="the parent's result",
        workflow="parent",
        register=[structure.child],
        ends_with="the parent's result",
    ),
    "failures": Example(
        printed="given up: nobody tries that again",
        workflow="pay",
        args=["order-7", "expired"],
        register=[failures.charge],
        ends_with="order-7: the card has expired",
    ),
    "agent": Example(
        printed="it is 42", workflow="agent", args=["six times seven?"], ends_with="it is 42"
    ),
    "versions": Example(printed="DONE!", workflow="report_v2", args=["x"], ends_with="X!"),
    "callers": Example(printed="[0, 2, 4]", workflow="add", args=[1, 2], ends_with=3),
    "approval": Example(
        printed="teapot: approved by Ada",
        workflow="purchase",
        args=["teapot"],
        ends_with="nobody has decided about the teapot",
    ),
    "money": Example(
        printed="{'ada': -500, 'bob': 500}", workflow="transfer", ends_with="tested below"
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_in_one_process(name, monkeypatch, capsys):
    monkeypatch.delenv("RESONATE_URL", raising=False)

    import_module(f"resonate_sdk.examples.{name}").main()

    assert capsys.readouterr().out.splitlines()[-1] == EXAMPLES[name].printed


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_on_a_server(name, place: Place, monkeypatch, capsys):
    for variable in ("RESONATE_URL", "RESONATE_NAMESPACE"):
        monkeypatch.setenv(variable, place[variable])

    import_module(f"resonate_sdk.examples.{name}").main()

    assert capsys.readouterr().out.splitlines()[-1] == EXAMPLES[name].printed


def explored(name: str, **keywords: Any) -> Exploration:
    """Every way in which the process of an example can die once."""
    example = EXAMPLES[name]
    module = import_module(f"resonate_sdk.examples.{name}")
    keywords = {"args": example.args, "register": example.register, **keywords}
    return explore(vars(module)[example.workflow], **keywords)


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"money"}))
def test_a_crash_anywhere_changes_no_result(name):
    exploration = explored(name)

    assert exploration.expected.value == EXAMPLES[name].ends_with
    assert len(exploration.runs) >= 4


@pytest.mark.parametrize(
    ("target", "result"), [("bob", {"ada": -500, "bob": 500}), ("closed", {"ada": 0})]
)
def test_money_is_neither_made_nor_lost_by_a_crash(target, result):
    ledgers = []

    def prepare(env):
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        ledgers.append((connection, money.Ledger(connection)))
        env.dependencies[money.Ledger] = ledgers[-1][1]

    exploration = explored("money", args=["ada", target, 500], prepare=prepare)

    assert len(exploration.runs) > 8
    assert [ledger.balances() for _, ledger in ledgers] == [result] * len(ledgers)
    for connection, _ in ledgers:
        connection.close()


@pytest.mark.parametrize("failing", ["flight", "hotel", "car", ""])
def test_a_trip_is_never_half_booked(failing, capsys):
    with Environment() as env:
        worker = env.worker(register=[saga.trip])
        handle = env.client("caller").options(target="default").begin_rpc("id", "trip", failing)
        env.crash(worker, step=5)
        env.run_until_idle()
        if worker.is_dead:
            env.restart(worker)
        handle.result()

    lines = capsys.readouterr().out.split()
    booked = {word for word in lines if word in ("flight", "hotel", "car")}
    canceled = {word.partition("-")[0] for word in lines if "-id." in word}
    assert canceled == (booked if failing else set())


def test_memory_computes_each_number_once():
    with Environment() as env:
        env.worker(register=[fibonacci.fib])
        handle = env.client().begin_run("m-fib-15", fibonacci.fib, 15, "m")

        assert handle.result() == 610
        assert len({e.what for e in env.journal if e.what.startswith("fulfill:")}) == 16


def test_a_decision_of_the_last_day_counts():
    with Environment() as env:
        env.worker(register=[approval.purchase])
        handle = env.client().begin_run("p", approval.purchase, "teapot")
        env.advance(days=6.9)
        env.promises.resolve("p.1", approval.Decision(approved=False, by="Bob"))

        assert handle.result() == "teapot: refused by Bob"
