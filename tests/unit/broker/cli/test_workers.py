"""What runs and what waits, over a transport that answers at once."""

import pytest

from resonate_broker.cli import workers
from resonate_broker.cli.client import Client
from resonate_sdk.protocol.responses import Answer, WorkerPage
from tests.unit.broker.cli.test_client import answering, tasks


@pytest.mark.parametrize(
    ("acquired", "pending", "is_whole"),
    [(None, None, True), ("1", None, False), (None, "1", False)],
)
async def test_it_is_told_when_more_tasks_are_there_than_are_counted(
    monkeypatch, acquired, pending, is_whole
):
    monkeypatch.setattr(workers, "TASKS_MAX", 1)
    nobody = Answer(200, WorkerPage(workers=()))
    pages = tasks("a", cursor=acquired), tasks("b", cursor=pending)

    load = await workers._load(Client(answering(*pages, nobody), "pid"))

    assert load.is_whole is is_whole
