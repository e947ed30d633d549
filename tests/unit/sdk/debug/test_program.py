"""`python -m resonate_sdk`."""

import textwrap

import pytest

from resonate_sdk import LocalServer, Resonate
from resonate_sdk.__main__ import main
from resonate_sdk.debug import History
from resonate_sdk.testing import Environment


def step(ctx, n):
    return n + 1


def body(ctx, n):
    return (yield ctx.run(step, n))


@pytest.fixture
def history() -> History:
    with Environment() as env:
        env.register(body)
        env.client().begin_run("id", body, 1).result()
        return env.history("id")


def app(call):
    return textwrap.dedent(f"""
        from resonate_sdk import Resonate
        resonate = Resonate.local(autostart=False)
        def step(ctx, n): return n + 1
        def other(ctx, n): return n
        @resonate.register
        def body(ctx, n):
            return (yield ctx.run({call}, n))
    """)


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("step", 0, "agrees id body version 1: it ends as recorded"),
        ("other", 1, "id: 'id.1' is recorded as call:step"),
    ],
)
def test_check(call, code, said, history, tmp_path, monkeypatch, capsys):
    history.save(tmp_path / "id.json")
    (tmp_path / f"app_{call}.py").write_text(app(call))
    monkeypatch.chdir(tmp_path)

    assert main(["check", "id.json", "--module", f"app_{call}"]) == code

    assert said in "".join(capsys.readouterr())


def test_an_app_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["check", ".", "--module", "nowhere_at_all"]) == 2

    assert "--module nowhere_at_all" in capsys.readouterr().err


@pytest.fixture
def at_server(monkeypatch):
    """Clients of this test reach a server inside of it."""
    server = LocalServer()
    monkeypatch.setattr(
        Resonate, "remote", lambda url, **keywords: Resonate.local(server=server, **keywords)
    )
    with Resonate.local(server=server, autostart=False) as client:
        yield client
    server.close()


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["get", "p"], 0, "p pending"),
        (["resolve", "p", "--value", '{"a": 1}'], 0, "p resolved {'a': 1}"),
        (["reject", "p", "--value", '"no"'], 0, "p rejected 'no'"),
        (["cancel", "p"], 0, "p rejected_canceled None"),
        (["resolve", "p", "--value", "{"], 2, "--value is no JSON"),
        (["resolve", "done"], 0, "done resolved 1"),
        (["reject", "done"], 1, "done resolved 1"),
        (["get", "q"], 1, "no promise 'q'"),
        (["explain", "p"], 0, "p promise pending for "),
        (["tree", "p"], 0, "p promise pending\n"),
        (["schedules"], 0, "s 0 9 * * * UTC\n"),
        (["schedules", "delete", "s"], 0, ""),
        (["schedules", "delete"], 2, "write `schedules`, or `schedules delete ID`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_promises_and_schedules(command, code, said, at_server, capsys):
    at_server.promises.create("p", expires_in=60)
    at_server.promises.create("done", expires_in=60)
    at_server.promises.resolve("done", 1)
    at_server.schedules.create("s", "0 9 * * *")

    assert main(command) == code

    assert said in "".join(capsys.readouterr())
    assert [found.id for found in at_server.schedules.search()] == (
        [] if command == ["schedules", "delete", "s"] else ["s"]
    )


def test_history_needs_a_server(monkeypatch, capsys):
    monkeypatch.delenv("RESONATE_URL", raising=False)

    assert main(["history", "id"]) == 1

    assert "needs url='amqp://...'" in capsys.readouterr().err
