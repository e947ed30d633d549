"""`python -m resonate_sdk`."""

import textwrap

import pytest

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

    assert main(["check", "id.json", "--app", f"app_{call}"]) == code

    assert said in "".join(capsys.readouterr())


def test_an_app_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["check", ".", "--app", "nowhere_at_all"]) == 2

    assert "--app nowhere_at_all" in capsys.readouterr().err


def test_history_needs_a_server(monkeypatch, capsys):
    monkeypatch.delenv("RESONATE_URL", raising=False)

    assert main(["history", "id"]) == 1

    assert "needs url='amqp://...'" in capsys.readouterr().err
