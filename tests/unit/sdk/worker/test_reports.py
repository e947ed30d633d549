"""Trouble is told to those who look, seldom, in a line, and without values that are secret."""

import pytest

from resonate_sdk.errors import FunctionNotFoundError, ResonateError
from resonate_sdk.functions.call_envelope import encode_call
from resonate_sdk.protocol import limits
from resonate_sdk.protocol.requests import TaskFence, TaskHalt, TaskReport
from resonate_sdk.retry import Constant
from resonate_sdk.worker.failures import delay_s
from resonate_sdk.worker.reports import reason_of
from tests.unit.sdk import virtual_time
from tests.unit.sdk.bench import CODEC, Server, in_virtual_time, make_bench, make_root
from tests.unit.sdk.wire import Wire, refusal


class ReportingWire(Wire):
    """A server of which others ask, too."""

    def report(self, report, *, origin):
        assert origin == "x"
        self.sent.append(report)


def flaky(ctx):
    raise ValueError("no money")


def main(ctx):
    yield ctx.run(flaky).options(retry_policy=Constant(0.4, max_retries=5))


@in_virtual_time
async def test_a_step_that_fails_is_told_of_now_and_then():
    async with make_bench(Server(make_root()), main, flaky, wire=ReportingWire) as bench:
        await bench.hint(version=4).is_left.wait()

    told = [(r.version, r.promise, r.reason, r.attempts) for r in bench.wire.of(TaskReport)]
    assert told == [(5, "x.1", "ValueError: no money", n) for n in (1, 4)]
    assert {report.again_ms for report in bench.wire.of(TaskReport)} == {400}


@in_virtual_time
async def test_a_pass_that_cannot_go_on_is_told_of_each_time_and_last_before_it_is_halted():
    async with make_bench(Server(make_root("unknown")), main, wire=ReportingWire) as bench:
        for version in range(10):
            await bench.hint(version=version).is_left.wait()

    told = bench.wire.of(TaskReport)
    assert [report.attempts for report in told] == list(range(1, 11))
    delays_ms = [round(delay_s("x", attempts) * 1000) for attempts in range(1, 10)]
    assert [report.again_ms for report in told[:-1]] == delays_ms
    assert {report.promise for report in told} == {"x"}
    assert told[0].reason.startswith("function unknown is not registered here")
    assert [request.kind for request in bench.wire.sent[-2:]] == ["task.report", "task.halt"]
    assert told[-1].again_ms is None
    assert len(bench.wire.of(TaskHalt)) == 1


@in_virtual_time
async def test_who_wrote_target_among_the_arguments_is_told_where_it_belongs():
    root = make_root(param=encode_call(CODEC, "quote", 0, ["pot"], {"target": "shop"}))

    async with make_bench(Server(root), main, wire=ReportingWire) as bench:
        await bench.hint().is_left.wait()

    (report,) = bench.wire.of(TaskReport)
    assert report.reason.endswith("where a call goes is said by .options(target=...) behind it")


@in_virtual_time
async def test_who_has_not_got_the_task_yet_tells_nothing():
    server = Server(make_root())
    server.overrules[TaskFence] = refusal(409)
    async with make_bench(server, main, flaky, wire=ReportingWire) as bench:
        bench.fresh_hint(server.root)
        await virtual_time.turn()
        assert bench.wire.of(TaskReport) == []
        await virtual_time.elapse(1)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\nlines\0"), "ValueError: two lines"),
        (ValueError(), "ValueError:"),
        (
            FunctionNotFoundError("function f is not registered here"),
            "function f is not registered here",
        ),
        (ValueError("\ud800"), "ValueError: ?"),
        (ResonateError(""), "ResonateError"),
    ],
)
def test_a_reason_is_one_line_that_can_be_stored(error: Exception, reason: str):
    assert reason_of(error, is_secret=False) == reason


def test_a_long_reason_is_cut():
    reason = reason_of(ValueError("x" * 9_999), is_secret=False)

    assert len(reason) == limits.TROUBLE_CHARS_MAX
    assert reason.endswith("x…")


def test_where_values_are_secret_only_the_kind_of_error_is_told():
    error = ResonateError("ValueError: card 4111")
    error.__cause__ = ValueError("card 4111")

    assert reason_of(error, is_secret=True) == "ValueError"
    assert reason_of(ValueError("card 4111"), is_secret=True) == "ValueError"
