"""One object that names the broker, the group, and how many hints may wait here."""

from resonate_sdk import Amqp, Resonate
from tests.integration.amqp.server import ServerThread

WAIT_S = 60
CALLS = 5


def test_a_worker_with_a_prefetch_of_one_serves_all_calls(server: ServerThread):
    network = Amqp(server.config.url, group="narrow", id="narrow-1", prefetch=1)

    with Resonate(network=network, namespace=server.config.namespace) as client:

        @client.register
        def half(ctx, n: int) -> float:
            return n / 2

        handles = [half.begin_rpc(f"half-{n}", n) for n in range(CALLS)]

        assert client.unicast == "amqp://uni@narrow/narrow-1"
        assert [handle.result(WAIT_S) for handle in handles] == [n / 2 for n in range(CALLS)]
