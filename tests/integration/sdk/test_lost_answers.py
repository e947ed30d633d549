"""Answers are transient: when one is lost, the SDK asks again."""

import threading

import pytest

from resonate_broker.api.replies import Replies
from resonate_sdk import Resonate
from resonate_sdk.amqp import requests
from tests.integration.amqp.server import ServerThread

SECONDS_MAX = 20


class LostAnswers:
    """Loses the first answer to each request of some kinds."""

    def __init__(self, monkeypatch, kinds):
        self.lost = []
        add = Replies.add

        def lossy(replies, reply):
            key = (reply.reply_to, reply.correlation_id)
            if reply.kind in kinds and key not in self.lost:
                self.lost.append(key)
            else:
                add(replies, reply)

        monkeypatch.setattr(Replies, "add", lossy)


@pytest.mark.parametrize(
    "kind",
    ["promise.create", "task.create", "task.acquire", "task.fence", "task.suspend", "task.fulfill"],
)
def test_nothing_hangs_when_an_answer_is_lost(server: ServerThread, monkeypatch, kind):
    monkeypatch.setattr(requests, "ASK_AGAIN_S", 0.2)
    lost = LostAnswers(monkeypatch, [kind])
    ran, may_end = [], threading.Event()
    config = server.config
    with Resonate.remote(config.url, namespace=config.namespace, group="g") as client:

        def child(ctx, number):
            ran.append(number)
            assert may_end.wait(SECONDS_MAX)
            return number

        def parent(ctx):
            here = yield ctx.run(child, 1)
            there = yield ctx.rpc("child", 2)
            return here + there

        client.register(child)
        client.register(parent)
        client.start()
        may_end.set()
        by_create = client.options(target="g").begin_rpc("by-create", "parent")
        by_run = client.begin_run("by-run", parent)

        assert by_create.result(timeout=SECONDS_MAX) == 3
        assert by_run.result(timeout=SECONDS_MAX) == 3

    assert lost.lost, "an answer was lost"
