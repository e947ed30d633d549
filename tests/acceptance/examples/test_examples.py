"""Every small example: in one process, on a real server, and with a crash at every place."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from msgspec import Struct

from resonate_sdk import Codec, DecodeError
from resonate_sdk.examples import (
    approval,
    await_chain,
    dependencies,
    detached_chain,
    encryption,
    endless,
    factorial,
    failures,
    fibonacci,
    fire_and_forget,
    models,
    money,
    pipeline,
    quotes,
    recovery,
    saga,
    structure,
    tested,
    webhook,
)
from resonate_sdk.examples.deadline import slow_answer
from resonate_sdk.testing import Environment, Exploration, explore
from tests.acceptance.seeds.conftest import Place


class Example(Struct, frozen=True, kw_only=True):
    """An example, and what comes out of it.

    Attributes:
        printed: its last line when it is run.
        workflow: the function that is made to crash.
        ends_with: what that returns, whatever happens.
        prepare: starts the other services that it needs, and gives it its dependencies.
    """

    printed: str
    workflow: str
    ends_with: Any
    args: Sequence[Any] = ()
    register: Sequence[Any] = ()
    prepare: Callable[[Environment], None] | None = None


def start_chain(env: Environment) -> None:
    for group, function in await_chain.SERVICES.items():
        env.worker(group, register=[function])


def start_suppliers(env: Environment) -> None:
    for group in ("service-mill", "service-forge"):
        env.worker(group, register=[quotes.SERVICES[group]])


def start_group(env: Environment) -> None:
    env.worker("factorial", register=[factorial.factorial])


def give_dependencies(env: Environment) -> None:
    env.dependencies |= {"worker": "slow", "greeting": "Welcome"}
    env.dependencies[dependencies.Database] = dependencies.Database()


EXAMPLES: Mapping[str, Example] = {
    "await_chain": Example(
        printed="a got b's 42", workflow="b", args=[60], ends_with="b's 42", prepare=start_chain
    ),
    "detached_chain": Example(
        printed="a teapot is shipped as order-1-shipment",
        workflow="pack",
        args=["tea", "x"],
        ends_with="tea is packed",
    ),
    "factorial": Example(
        printed="11! = 39916800",
        workflow="factorial",
        args=[3, "f"],
        ends_with=6,
        prepare=start_group,
    ),
    "quotes": Example(
        printed="a kettle from the forge for 20",
        workflow="buy",
        args=["tongs"],
        ends_with="tongs from the forge for 20",
        prepare=start_suppliers,
    ),
    "fire_and_forget": Example(
        printed="Welcome, Ada!",
        workflow="sign_up",
        args=["Bob"],
        register=[fire_and_forget.welcome],
        ends_with="Bob is signed up",
    ),
    "retries": Example(
        printed="NonRetryable: this account is closed",
        workflow="compare",
        ends_with=[
            "constant: attempt 3 worked",
            "linear: attempt 3 worked",
            "exponential: attempt 3 worked",
            "never: attempt 1 did not work",
            "RetryAfter: attempt 2 worked",
            "NonRetryable: this account is closed",
        ],
    ),
    "tested": Example(
        printed="3 tests passed, 150 days in no time",
        workflow="subscription",
        args=["Ada", 1],
        register=[tested.FREE_OF_CHARGE],
        ends_with=10,
    ),
    "replayed": Example(
        printed="other_order differs: 'replayed-1.1' is recorded as call:reserve",
        workflow="order",
        args=["tea"],
        ends_with="told about tea",
    ),
    "endless": Example(
        printed="the last one with 325",
        workflow="collect",
        args=["x", 0, 1, 4],
        register=[endless.publish],
        ends_with=1,
    ),
    "load_balancing": Example(
        printed="60 jobs are done",
        workflow="job",
        args=[1],
        ends_with="slow",
        prepare=give_dependencies,
    ),
    "report": Example(
        printed="sent: 5 orders in the north",
        workflow="report",
        args=["south"],
        ends_with="sent: 5 orders in the south",
    ),
    "encryption": Example(
        printed="secret-1: the stored data cannot be decrypted by 'aes-gcm': it was written with "
        "the key '2025', which is not among the keys",
        workflow="last_digits",
        args=["4242 1234"],
        ends_with="1234",
    ),
    "dependencies": Example(
        printed="['Ada']",
        workflow="welcome",
        args=["Bob"],
        ends_with="Welcome Bob",
        prepare=give_dependencies,
    ),
    "models": Example(
        printed="Ada has paid 23.50",
        workflow="buy",
        args=[models.Order(customer="Bob", items=[models.Item(name="tea", price=Decimal(3))])],
        ends_with=models.Receipt("Bob", Decimal(3)),
    ),
    "http_api": Example(
        printed='200 {"state": "resolved", "value": 30}', workflow="work", args=[3], ends_with=5
    ),
    "webhook": Example(
        printed="receipt of event-1 is in the books",
        workflow="handle_event",
        args=["e", 5],
        ends_with="receipt of e is in the books",
    ),
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


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"tested"}))
def test_an_example_runs_on_a_server(name, place: Place, monkeypatch, capsys):
    for variable in ("RESONATE_URL", "RESONATE_NAMESPACE"):
        monkeypatch.setenv(variable, place[variable])

    import_module(f"resonate_sdk.examples.{name}").main()

    assert capsys.readouterr().out.splitlines()[-1] == EXAMPLES[name].printed


def explored(name: str, **keywords: Any) -> Exploration:
    """Every way in which the process of an example can die once."""
    example = EXAMPLES[name]
    module = import_module(f"resonate_sdk.examples.{name}")
    keywords = {
        "args": example.args,
        "register": example.register,
        "prepare": example.prepare,
        **keywords,
    }
    return explore(vars(module)[example.workflow], **keywords)


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"money"}))
def test_a_crash_anywhere_changes_no_result(name):
    exploration = explored(name)

    assert exploration.expected.value == EXAMPLES[name].ends_with
    assert len(exploration.runs) == 2 * len(set(exploration.checkpoints)) > 0


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


def test_an_order_in_a_file_goes_on_wherever_its_process_dies(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recovery, "SECONDS_PER_STEP", 0)

    for _ in range(2):  # the second time it is done
        recovery.main(str(tmp_path / "orders.db"), "order-1")
    printed = capsys.readouterr().out
    exploration = explore(recovery.order, args=["cup"])

    assert printed.count("  result: one teapot, paid and shipped\n") == 2
    assert printed.count("  charging the card: done\n") == 1
    assert exploration.expected.value == "one cup, paid and shipped"


def test_one_of_two_workers_dies_and_the_other_computes_the_factorial():
    with Environment() as env:
        workers = [env.worker("factorial", register=[factorial.factorial]) for _ in range(2)]
        handle = env.client("x").options(target="factorial").begin_rpc("n-10", "factorial", 10, "n")
        env.crash(workers[0], step=2)
        env.run_until(lambda: workers[0].is_dead or handle.done())

        assert workers[0].is_dead
        assert handle.result() == 3_628_800
        settled = {e.what for e in env.journal if e.what.startswith("fulfill:") and e.status == 200}
        assert settled == {f"fulfill:n-{number}" for number in range(1, 11)}


def test_who_signs_up_does_not_wait_for_the_mail(monkeypatch):
    monkeypatch.setattr(fire_and_forget, "SECONDS_PER_MAIL", 86_400)
    with Environment() as env:
        env.worker(register=[fire_and_forget.sign_up, fire_and_forget.welcome])
        client = env.client("x").options(target="default")

        assert client.rpc("s", fire_and_forget.sign_up, "Ada") == "Ada is signed up"
        assert env.elapsed_s < 60
        assert client.rpc("s", fire_and_forget.sign_up, "Ada") == "Ada is signed up"
        env.advance(days=2)
        assert client.get("s-mail").result() == "Welcome, Ada!"
        assert [e.what for e in env.journal].count("create:s-mail") == 1


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


def test_every_service_of_a_chain_may_die_anywhere():
    def start_others(env):
        for group in ("service-b", "service-c"):
            env.worker(group, register=[await_chain.SERVICES[group]])

    exploration = explore(await_chain.a, args=[60], prepare=start_others)

    assert exploration.expected.value == "a got b's 42"
    assert exploration.expected.seconds < 120


def test_the_callee_in_a_chain_runs_once_although_its_caller_dies():
    with Environment() as env:
        start_chain(env)
        caller = env.worker("service-b")
        handle = env.client("x").options(target="service-b").begin_rpc("id", await_chain.b, 60)
        env.advance(30)
        env.restart(caller)

        assert handle.result() == "b's 42"
        assert env.elapsed_s < 90
        assert len([e for e in env.journal if e.what == "fulfill:id.1"]) == 1


def test_each_caller_of_a_detached_chain_ends_before_what_it_has_started():
    with Environment() as env:
        for group, function in detached_chain.SERVICES.items():
            env.worker(group, register=[function])
        client = env.client("x").options(target="service-receive")
        assert client.rpc("id", detached_chain.receive, "tea") == "tea is received"
        env.advance(minutes=1)

        calls = [r for r in env.promises.search() if "resonate:target" in r.tags]
        calls.sort(key=lambda record: record.settled_at or 0)
        received, packed, shipped = [record.id for record in calls]
        assert (received, shipped) == ("id", "id-shipment")
        assert packed.startswith("id.d")


def test_ids_of_an_endless_workflow_do_not_grow():
    with Environment() as env:
        env.worker(register=[endless.collect, endless.publish])
        client = env.client("x").options(target="default")
        client.rpc("id", endless.collect, "id", 0, 1, 100)
        env.run_until_idle()

        assert client.get("id-total").result() == 100 * 101 // 2
        assert max(len(record.id) for record in env.promises.search()) < 30


def test_an_event_is_charged_once_however_often_it_is_delivered_and_whatever_dies(capsys):
    with Environment() as env:
        worker = env.worker(register=[webhook.handle_event])
        env.crash(worker, at="settle:e.2")
        client = env.client("x").options(target="default")
        handles = [client.begin_rpc("e", webhook.handle_event, "e", 5) for _ in range(5)]
        env.run_until(lambda: worker.is_dead)
        env.restart(worker)

        assert {handle.result() for handle in handles} == {"receipt of e is in the books"}
    assert capsys.readouterr().out.count("charging 5 cents for e") == 1


def test_keys_are_rotated_without_losing_what_was_written_before():
    old, new = {"a": bytes(32)}, {"b": bytes(range(32))}
    written = Codec(encryption.AesGcm(old)).encode("secret")
    rotated = Codec(encryption.AesGcm({**old, **new}))

    assert rotated.decode(written) == "secret"
    assert rotated.encode("secret").headers == {"resonate:enc": "aes-gcm", "key": "b"}
    for broken in ({"a": bytes(range(32))}, new):
        with pytest.raises(DecodeError, match="cannot be decrypted by 'aes-gcm'"):
            Codec(encryption.AesGcm(broken)).decode(written)
