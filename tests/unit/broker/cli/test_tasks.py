"""Tasks at the command line, over a transport that answers at once."""

from resonate_broker.cli.client import Client
from resonate_broker.cli.tasks import _with_promises
from resonate_sdk.protocol.responses import Answer
from tests.unit.broker.cli.builders import make_record, make_task
from tests.unit.broker.cli.test_client import answering, promise


async def test_a_task_whose_promise_has_been_removed_meanwhile_is_shown_all_the_same():
    client = Client(answering(promise(), Answer(404, "no promise 'b'")), "pid")

    found = await _with_promises(client, (make_task("a"), make_task("b")))

    assert [(work.task.id, work.promise) for work in found] == [("a", make_record()), ("b", None)]
