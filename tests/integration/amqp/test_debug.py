"""`debug.*` over RabbitMQ: only for users that the configuration names and the broker has verified."""

import asyncio
import secrets
from collections.abc import Generator
from urllib.parse import urlsplit

import pytest

from resonate_broker.config import Config, DebugConfig
from resonate_store.postgres.migrate import migrate
from tests.integration.amqp.foreign import ForeignClient, create
from tests.integration.amqp.server import ServerThread


@pytest.fixture(scope="module", params=[True, False], ids=["enabled", "not enabled"])
def server(amqp_server: str, module_database: str, request) -> Generator[ServerThread]:
    namespace = f"test-{secrets.token_hex(6)}"
    asyncio.run(migrate(module_database, namespace))
    config = Config(
        url=amqp_server,
        database_url=module_database,
        namespace=namespace,
        debug=DebugConfig(enabled=request.param, admins=(user_of(amqp_server),)),
    )
    with ServerThread(config) as server:
        yield server


def user_of(url: str) -> str:
    return urlsplit(url).username or "guest"


def test_nobody_may_debug_a_server_that_is_not_set_up_for_it():
    assert (Config().debug.enabled, Config().debug.admins) == (False, ())


async def test_only_an_admin_that_the_broker_has_verified_may_look(
    client: ForeignClient, server: ServerThread
):
    await client.ask("promise.create", create("p"))

    unnamed = await client.ask("debug.snap", {})
    named = await client.ask("debug.snap", {}, user_id=user_of(server.config.url))

    assert unnamed["head"]["status"] == 403
    if server.config.debug.enabled:
        assert [promise["id"] for promise in named["data"]["promises"]] == ["p"]
    else:
        assert named["head"]["status"] == 403
