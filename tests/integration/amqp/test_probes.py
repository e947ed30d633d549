"""The port for Prometheus and for probes, of a server that works, and of one that cannot."""

import asyncio
import json
import re
import socket
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from resonate_broker.app import SettingError
from resonate_broker.config import Config, HttpConfig
from resonate_broker.dev import PrivatePostgres
from resonate_broker.dev.ports import free_port
from resonate_sdk.hooks import Hooks
from resonate_sdk.probes.worker import CONNECTED, ProbedWorker
from resonate_store.postgres.migrate import migrate
from tests.integration.amqp.foreign import ForeignClient
from tests.integration.amqp.server import ServerThread
from tests.integration.probing import ask, readiness, samples
from tests.processes import wait_until

DASHBOARD = Path(__file__).parents[3] / "infra" / "grafana" / "resonate.json"
CHANGE_S_MAX = 30
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, http=HttpConfig(listen=f"127.0.0.1:{free_port()}"))


async def test_a_server_that_works_is_alive_ready_and_counts(
    config: Config, server: ServerThread, client: ForeignClient
):
    is_ready = becomes_ready(config)
    before = samples(config.http.listen)
    await client.ask("promise.create", {"id": "a", "timeoutAt": 2**52, "param": {}, "tags": {}})
    await client.ask("promise.settle", {"id": "a", "state": "resolved", "value": {}})
    await client.ask("promise.get", {"id": "nobody"})
    after = samples(config.http.listen)

    assert is_ready, readiness(config.http.listen)
    assert ask(config.http.listen, "/health")[0] == 200
    assert ask(config.http.listen, "/elsewhere")[0] == 404
    assert after["resonate_requests_total", (("kind", "promise.create"), ("status", "200"))] == 1
    assert after["resonate_requests_total", (("kind", "promise.get"), ("status", "404"))] == 1
    assert after["resonate_promises_created_total", ()] == 1
    assert after["resonate_promises_settled_total", (("state", "resolved"),)] == 1
    assert after["resonate_amqp_sessions_total", ()] == 1
    for step in ("load", "decide", "commit"):
        series = ("resonate_batch_step_seconds_count", (("step", step),))
        assert after[series] >= before[series] + 3, step
    for part in ("kernel", "database", "broker", "consumers"):
        assert after["resonate_ready", (("part", part),)] == 1, part
    assert after["process_cpu_seconds_total", ()] > 0


async def test_both_forms_of_metrics_can_be_read_and_name_no_password(
    config: Config, server: ServerThread, client: ForeignClient
):
    _, plain_type, plain = ask(config.http.listen, "/metrics")
    _, open_type, text = ask(config.http.listen, "/metrics", OPEN_METRICS)

    assert plain_type.startswith("text/plain")
    assert open_type.startswith("application/openmetrics-text")
    assert len(list(open_metrics(text))) == len(list(text_string_to_metric_families(plain)))
    for url in (config.url, config.database_url):
        assert url not in plain
        password = url.split("://")[1].partition(":")[2].partition("@")[0]
        assert password not in ask(config.http.listen, "/ready")[2]


def test_a_server_whose_port_is_taken_says_so(config: Config):
    host, port = config.http.listen.split(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(SettingError, match=f"'http.listen': cannot listen on {host}:{port}: "),
    ):
        ServerThread(config).start()


def becomes_ready(config: Config) -> bool:
    return wait_until(lambda: ask(config.http.listen, "/ready")[0] == 200, seconds=CHANGE_S_MAX)


def becomes(config: Config, part: str, problem: str) -> bool:
    return wait_until(lambda: problem in readiness(config.http.listen)[part], seconds=CHANGE_S_MAX)


def test_a_server_without_its_broker_is_alive_but_not_ready(config: Config, server: ServerThread):
    link, messages = server.server._link, server.server._messages
    assert becomes_ready(config)

    server.call(lambda: setattr(link, "_url", f"amqp://guest:guest@127.0.0.1:{free_port()}/"))
    assert messages._session is not None
    server.call(partial(messages._session.lose, "broken by the test"))

    assert becomes(config, "broker", "nothing listens there")
    found = readiness(config.http.listen)
    assert found["status"] == "not ready"
    assert found["consumers"] == "the queues are not consumed"
    assert found["database"] == "ok"
    assert "guest:guest" not in str(found)
    assert ask(config.http.listen, "/health")[0] == 200
    server.call(lambda: setattr(link, "_url", config.url))
    assert becomes_ready(config)
    assert samples(config.http.listen)["resonate_amqp_sessions_total", ()] == 2
    assert samples(config.http.listen)["resonate_amqp_sessions_failed_total", ()] >= 2


def test_a_server_without_its_database_is_alive_but_not_ready(
    config: Config, private_postgres: PrivatePostgres
):
    config = replace(config, database_url=private_postgres.url)
    asyncio.run(migrate(config.database_url, config.namespace))
    with ServerThread(config):
        assert becomes(config, "database", "ok")

        private_postgres.kill()

        assert wait_until(
            lambda: readiness(config.http.listen)["database"] != "ok", seconds=CHANGE_S_MAX
        )
        assert readiness(config.http.listen)["broker"] == "ok"
        assert ask(config.http.listen, "/health")[0] == 200
        private_postgres.start()
        assert becomes(config, "database", "ok")


SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}


# Series that have no value before something goes wrong, or before they are asked for.
UNSEEN = {"resonate_store_conflicts_total"}


def worker_families() -> tuple[Metric, ...]:
    """What a worker tells that has done nothing yet."""
    worker = ProbedWorker(("", 0), {}, Hooks(), lambda: CONNECTED, lambda: 0)
    return tuple(worker.collector.collect())


def exported_by_workers() -> set[str]:
    """The same of a worker."""
    return {
        family.name + suffix for family in worker_families() for suffix in SUFFIXES[family.type]
    }


def exported(config: Config) -> set[str]:
    """The names of all series that there may be, also of those that have no value yet."""
    _, _, body = ask(config.http.listen, "/metrics", OPEN_METRICS)
    return {
        family.name + suffix for family in open_metrics(body) for suffix in SUFFIXES[family.type]
    }


def test_the_dashboard_shows_what_there_is_and_nothing_else(config: Config, server: ServerThread):
    shown = set(re.findall(r"\b(?:resonate|process)_\w+", DASHBOARD.read_text()))

    known = exported(config) | exported_by_workers()

    assert shown - known == set()
    own = {name for name in known if name.startswith("resonate_")}
    assert own - shown - {name for name in own if name.endswith(("_sum", "_count"))} == set()


async def test_the_dashboard_asks_for_labels_that_there_are(
    config: Config, server: ServerThread, client: ForeignClient
):
    await client.ask("group.set", {"name": "g", "concurrency": 3})
    task = {"tags": {"resonate:target": "g"}, "param": {}, "timeoutAt": 2**52}
    await client.ask("promise.create", {"id": "a", **task})
    text = ask(config.http.listen, "/metrics", OPEN_METRICS)[2]
    labels: dict[str, set[str]] = {}
    for family in (*open_metrics(text), *worker_families()):
        for sample in family.samples:
            labels.setdefault(sample.name, {"instance"}).update(sample.labels)

    queries = [
        (target["expr"], target.get("legendFormat", ""))
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel.get("targets", ())
    ]
    for expr, legend in queries:
        series = set(re.findall(r"\b(?:resonate|process)_\w+", expr))
        wanted = set(re.findall(r"\b(\w+)(?:=~|!~|!=|=)\"", expr)) | set(
            re.findall(r"{{(\w+)}}", legend)
        )
        for names in re.findall(r"\bby \(([^)]*)\)", expr):
            wanted |= {name.strip() for name in names.split(",")}
        seen = series & labels.keys()
        assert series - seen <= UNSEEN, expr
        assert not seen or wanted <= set().union(*(labels[name] for name in seen)), expr


def test_every_panel_has_a_query_and_a_place_of_its_own():
    panels = json.loads(DASHBOARD.read_text())["panels"]

    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len(places)
    assert len({p["id"] for p in panels}) == len(panels)
    assert all(t["expr"] for p in panels if p["type"] != "row" for t in p["targets"])
    assert all(p["targets"] for p in panels if p["type"] != "row")


async def test_what_waits_in_the_database_is_counted(
    config: Config, server: ServerThread, client: ForeignClient
):
    await client.ask("group.set", {"name": "g", "concurrency": 3})
    connection = await asyncpg.connect(config.database_url)
    try:
        await connection.execute(f'set search_path to "{config.namespace}"')
        await connection.execute(
            "insert into inbox (id, timeout_at, tags, param_data, refused) "
            "values ('a', 1, '{}', '', 'no')"
        )
        await connection.execute(
            "insert into events (origin, sequence, kind, subject, group_name, at, data) "
            "values ('a', 1, 'promise.created', 'a', '', 1000, '{}')"
        )
    finally:
        await connection.close()

    found = samples(config.http.listen)

    group = (("group", "g"),)
    assert found["resonate_group_places", group] == 3
    assert found["resonate_group_places_taken", group] == 0
    assert found["resonate_inbox_waiting", ()] == 0
    assert found["resonate_inbox_refused", ()] == 1
    assert found["resonate_events_waiting", ()] == 1
    assert found["resonate_events_oldest_seconds", ()] > 1_000_000
