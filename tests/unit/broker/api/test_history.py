"""C20: what a history says of batches that ended well, badly, or nobody knows how."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from resonate_broker import rules
from resonate_broker.api.history import NEVER_NS, HistoryError, HistoryRecorder, final_lines
from resonate_broker.kernel.recording import Caller, Run
from resonate_sdk.protocol.records import TaskRef
from resonate_sdk.protocol.requests import (
    PromiseGet,
    PromiseRegisterListener,
    PromiseSearch,
    Request,
    TaskAcquire,
    TaskGet,
    TaskHeartbeat,
)
from resonate_sdk.protocol.responses import OK, Answer, Beaten, PromiseData, PromisePage, TaskData
from tests.unit.broker.builders import NOW, make_targeted
from tests.unit.protocol import strategies


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "recorded.jsonl"


@pytest.fixture
def recorder(file: Path) -> Generator[HistoryRecorder]:
    recorder = HistoryRecorder(file)
    yield recorder
    recorder.close()


def make_run(
    request: Request | None = None, answer: Answer | None = None, client: str = "queue-1"
) -> Run:
    """A run of a request that reads a promise which a task carries out."""
    found = Answer(OK, PromiseData(promise=rules.record(make_targeted("t"))))
    return Run(request or PromiseGet(id="t"), Caller(client, "c1", 7), answer or found, NOW)


def history(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in final_lines(file.read_bytes().splitlines())]


def test_a_committed_run_is_one_line(recorder: HistoryRecorder, file: Path):
    recorder.intend([make_run()])
    recorder.end("committed")

    (line,) = history(file)

    assert list(line) == ["kind", "now", "req", "res", "call", "return", "client"]
    assert (line["kind"], line["now"], line["req"]) == ("promise.get", NOW, {"id": "t"})
    assert line["res"]["kind"] == "promise.get"
    assert line["res"]["head"] == {"corrId": "c1", "status": 200, "version": "2026-04-01"}
    assert line["call"] == 7 < line["return"] < NEVER_NS
    assert line["client"] == 0


def test_an_aborted_run_is_left_out_and_the_one_after_it_is_written(
    recorder: HistoryRecorder, file: Path
):
    recorder.intend([make_run()])
    recorder.end("aborted")
    recorder.intend([make_run(answer=Answer(404, "no promise 't'"))])
    recorder.end("committed")

    assert [line["res"]["head"]["status"] for line in history(file)] == [404]


def test_a_run_of_unknown_fate_is_answered_500_and_never_returns(
    recorder: HistoryRecorder, file: Path
):
    recorder.intend([make_run()])
    recorder.end("unknown")

    (line,) = history(file)

    assert (line["res"]["head"]["status"], line["return"]) == (500, NEVER_NS)
    assert line["res"]["head"]["corrId"] == "c1"


def test_the_fate_of_a_run_is_unknown_if_its_server_died(recorder: HistoryRecorder, file: Path):
    recorder.intend([make_run()])
    again = HistoryRecorder(file)
    again.intend([make_run(answer=Answer(404, "no promise 't'"))])
    again.end("committed")
    again.close()

    lines = [(line["res"]["head"]["status"], line["return"] == NEVER_NS) for line in history(file)]

    assert sorted(lines) == [(404, False), (500, True)]


def test_what_the_protocol_does_not_name_is_left_out(recorder: HistoryRecorder, file: Path):
    beat = TaskHeartbeat(pid="w", tasks=(TaskRef(id="t", version=1),))
    acquire = TaskAcquire(id="t", version=0, pid="w", lease_ms=5, preload=False)
    lost = Beaten(lost=(TaskRef(id="t", version=1),))
    recorder.intend([make_run(beat, Answer(OK, lost)), make_run(acquire, Answer(409, "no"))])
    recorder.end("committed")

    beaten, acquired = history(file)

    assert beaten["res"]["data"] == {}
    assert acquired["req"] == {"id": "t", "version": 0, "pid": "w", "ttl": 5}


THE_PROTOCOL_HAS = {
    "promise.get": {"id"},
    "promise.create": {"id", "timeoutAt", "param", "tags"},
    "promise.settle": {"id", "state", "value"},
    "promise.register_callback": {"awaited", "awaiter"},
    "promise.register_listener": {"awaited", "address"},
    "task.get": {"id"},
    "task.create": {"pid", "ttl", "action"},
    "task.acquire": {"id", "version", "pid", "ttl"},
    "task.release": {"id", "version"},
    "task.fulfill": {"id", "version", "action"},
    "task.suspend": {"id", "version", "actions"},
    "task.fence": {"id", "version", "action"},
    "task.heartbeat": {"pid", "tasks"},
    "task.halt": {"id"},
    "task.continue": {"id"},
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.requests)
def test_of_every_request_there_is_what_the_protocol_names(file: Path, request: Request):
    file.unlink(missing_ok=True)
    recorder = HistoryRecorder(file)
    recorder.refuse(make_run(request, Answer(409, "no")))
    recorder.close()

    lines = history(file)

    assert bool(lines) == (request.kind in THE_PROTOCOL_HAS)
    assert all(line["req"].keys() <= THE_PROTOCOL_HAS[line["kind"]] for line in lines)


def test_details_of_a_task_are_left_out(recorder: HistoryRecorder, file: Path):
    record = rules.task_record(make_targeted("t"), details=True)
    run = make_run(TaskGet(id="t", details=True), Answer(OK, TaskData(task=record)))
    recorder.refuse(run)

    (line,) = history(file)

    assert line["res"]["data"]["task"].keys() == {"id", "state", "version", "resumes"}


def test_addresses_are_written_as_checkers_know_them(recorder: HistoryRecorder, file: Path):
    listen = PromiseRegisterListener(awaited="t", address="amqp://uni@g/w")
    recorder.intend([make_run(listen)])
    recorder.end("committed")

    (line,) = history(file)

    assert line["req"]["address"] == "poll://uni@g/w"
    assert line["res"]["data"]["promise"]["tags"]["resonate:target"] == "poll://any@g"


def test_a_heartbeat_is_one_line_per_origin(recorder: HistoryRecorder, file: Path):
    tasks = tuple(TaskRef(id=id, version=1) for id in ("a", "b.1", "a.2"))
    recorder.intend([make_run(TaskHeartbeat(pid="w", tasks=tasks), Answer(OK, Beaten()))])
    recorder.end("committed")

    found = [[ref["id"] for ref in line["req"]["tasks"]] for line in history(file)]

    assert found == [["a", "a.2"], ["b.1"]]


def test_searches_are_left_out(recorder: HistoryRecorder, file: Path):
    recorder.intend([make_run(PromiseSearch(), Answer(OK, PromisePage(promises=())))])
    recorder.end("committed")

    assert history(file) == []


def test_senders_are_numbered(recorder: HistoryRecorder, file: Path):
    recorder.intend([make_run(client="x"), make_run(client="y"), make_run(client="x")])
    recorder.end("committed")

    assert [line["client"] for line in history(file)] == [0, 1, 0]


def test_a_last_line_that_was_cut_off_is_no_record(recorder: HistoryRecorder, file: Path):
    recorder.intend([make_run()])
    recorder.end("committed")
    file.write_bytes(file.read_bytes() + b'{"record":"int')

    assert len(history(file)) == 1


def test_what_a_killed_server_cut_off_harms_no_line_of_another(tmp_path: Path):
    file = tmp_path / "history"
    killed, other = HistoryRecorder(file), HistoryRecorder(file)
    killed.intend([make_run(client="lost")])
    whole = file.read_bytes().rstrip()
    for length in range(1, len(whole)):
        file.write_bytes(whole[:length])
        other.intend([make_run()])
        other.end("committed")

        lines = history(file)

        assert [line["res"]["head"]["status"] for line in lines] == [OK]
    killed.close()
    other.close()


def test_a_line_in_the_middle_that_is_no_record_is_named(recorder: HistoryRecorder, file: Path):
    file.write_bytes(b"no record\n")
    recorder.refuse(make_run(answer=Answer(400, "no")))

    with pytest.raises(HistoryError, match="line 1 is no record of ours"):
        history(file)
