"""RabbitMQ and PostgreSQL are killed in the middle of a call, and come back."""

import pytest

from resonate_broker.dev import PrivatePostgres, PrivateRabbitMQ
from tests.acceptance.recovery.conftest import caller
from tests.acceptance.recovery.deployment import Deployment
from tests.acceptance.recovery.test_kill_processes import RESULT

RESULT_SECONDS = 120


def start(deployment: Deployment) -> None:
    deployment.start_server()
    deployment.start_worker("service-foo")
    deployment.start_worker("service-bar")


def assert_nothing_finished_was_repeated(deployment: Deployment) -> None:
    journal = deployment.journal
    for finished in ("foo.first", "foo.last", "bar.first", "bar.last"):
        assert journal.count(finished) == 1, finished
    for interrupted in ("foo.between", "bar.middle"):
        assert journal.count(f"{interrupted} begun") >= 1, interrupted


@pytest.mark.parametrize("moment", ["foo.between begun", "bar.middle begun"])
def test_a_restart_of_rabbitmq_in_the_middle_loses_nothing(
    fragile_deployment: Deployment, private_rabbitmq: PrivateRabbitMQ, moment: str
):
    journal = fragile_deployment.journal
    start(fragile_deployment)
    with caller(fragile_deployment) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("foo.between begun")
        journal.wait_for("bar.middle begun")
        if moment == "bar.middle begun":
            journal.open_gate("foo.between")
            journal.wait_for("foo.between ended")

        private_rabbitmq.kill()
        private_rabbitmq.start()
        journal.open_gate("foo.between")
        journal.open_gate("bar.middle")

        assert handle.result(RESULT_SECONDS) == RESULT
    assert_nothing_finished_was_repeated(fragile_deployment)


@pytest.mark.parametrize("moment", ["foo.between begun", "bar.middle begun"])
def test_a_restart_of_postgresql_in_the_middle_loses_nothing(
    fragile_deployment: Deployment, private_postgres: PrivatePostgres, moment: str
):
    journal = fragile_deployment.journal
    start(fragile_deployment)
    with caller(fragile_deployment) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("foo.between begun")
        journal.wait_for("bar.middle begun")
        if moment == "bar.middle begun":
            journal.open_gate("foo.between")
            journal.wait_for("foo.between ended")

        private_postgres.kill()
        journal.open_gate("foo.between")
        journal.open_gate("bar.middle")
        private_postgres.start()

        assert handle.result(RESULT_SECONDS) == RESULT
    assert_nothing_finished_was_repeated(fragile_deployment)


def test_results_that_are_ready_while_rabbitmq_is_away_arrive_when_it_is_back(
    fragile_deployment: Deployment, private_rabbitmq: PrivateRabbitMQ
):
    journal = fragile_deployment.journal
    start(fragile_deployment)
    with caller(fragile_deployment) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("foo.between begun")
        journal.wait_for("bar.middle begun")

        private_rabbitmq.kill()
        journal.open_gate("foo.between")
        journal.open_gate("bar.middle")
        journal.wait_for("foo.between ended")
        journal.wait_for("bar.middle ended")
        private_rabbitmq.start()

        assert handle.result(RESULT_SECONDS) == RESULT
    assert_nothing_finished_was_repeated(fragile_deployment)
