"""Workers and servers are killed with SIGKILL; the call ends all the same, and runs no step twice
that was finished."""

import pytest

from tests.acceptance.recovery.conftest import caller
from tests.acceptance.recovery.deployment import Deployment

RESULT = 2
RESULT_SECONDS = 90


def assert_finished_steps_ran_once(deployment: Deployment) -> None:
    journal = deployment.journal
    for finished in ("foo.first", "foo.last", "bar.first", "bar.last"):
        assert journal.count(finished) == 1, finished
    for gated in ("foo.between", "bar.middle"):
        assert journal.count(f"{gated} begun") >= 1, gated
        assert journal.count(f"{gated} ended") >= 1, gated


def assert_only_first_steps_were_interrupted(deployment: Deployment) -> None:
    journal = deployment.journal
    for finished in ("foo.last", "bar.last"):
        assert journal.count(finished) == 1
    for perhaps_interrupted in ("foo.first", "bar.first"):
        assert 1 <= journal.count(perhaps_interrupted) <= 2


@pytest.fixture
def running(deployment: Deployment) -> Deployment:
    """A deployment whose gates are all closed, and a server."""
    deployment.start_server()
    return deployment


def test_without_any_failure_every_step_runs_once(running: Deployment):
    running.start_worker("service-foo")
    running.start_worker("service-bar")
    running.journal.open_gate("foo.between")
    running.journal.open_gate("bar.middle")

    with caller(running) as client:
        result = client.options(target="service-foo").begin_rpc("call", "foo").result(60)

    assert result == RESULT
    assert_finished_steps_ran_once(running)
    assert running.journal.count("bar.middle begun") == 1
    assert running.journal.count("foo.between begun") == 1


def test_a_callee_that_is_killed_while_it_works_is_replaced(running: Deployment):
    journal = running.journal
    running.start_worker("service-foo")
    bar = running.start_worker("service-bar")
    journal.open_gate("foo.between")
    with caller(running) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("bar.middle begun")

        running.kill(bar)
        running.start_worker("service-bar")

        journal.wait_for("bar.middle begun", times=2)
        journal.open_gate("bar.middle")
        assert handle.result(RESULT_SECONDS) == RESULT
    assert_finished_steps_ran_once(running)


def test_a_callee_that_is_killed_twice_is_replaced_by_a_member_of_its_group(running: Deployment):
    journal = running.journal
    running.start_worker("service-foo")
    journal.open_gate("foo.between")
    with caller(running) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        for times in (1, 2):
            bar = running.start_worker("service-bar")
            journal.wait_for("bar.middle begun", times=times)
            running.kill(bar)
        running.start_worker("service-bar")
        running.start_worker("service-bar")

        journal.wait_for("bar.middle begun", times=3)
        journal.open_gate("bar.middle")
        assert handle.result(RESULT_SECONDS) == RESULT
    assert_finished_steps_ran_once(running)


def test_a_caller_that_is_killed_before_it_awaits_its_call_does_not_call_again(
    running: Deployment,
):
    journal = running.journal
    foo = running.start_worker("service-foo")
    running.start_worker("service-bar")
    with caller(running) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("foo.between begun")
        journal.wait_for("bar.middle begun")

        running.kill(foo)
        running.start_worker("service-foo")

        journal.wait_for("foo.between begun", times=2)
        journal.open_gate("foo.between")
        journal.open_gate("bar.middle")
        assert handle.result(RESULT_SECONDS) == RESULT
    assert_finished_steps_ran_once(running)
    assert journal.count("bar.middle begun") == 1


def test_a_caller_that_is_killed_while_it_waits_gets_the_result_in_its_next_life(
    running: Deployment,
):
    journal = running.journal
    foo = running.start_worker("service-foo")
    running.start_worker("service-bar")
    journal.open_gate("foo.between")
    with caller(running) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("foo.between ended")
        journal.wait_for("bar.middle begun")

        running.kill(foo)
        journal.open_gate("bar.middle")
        journal.wait_for("bar.last")
        running.start_worker("service-foo")

        assert handle.result(RESULT_SECONDS) == RESULT
    assert_finished_steps_ran_once(running)
    assert journal.count("bar.middle begun") == 1


def test_a_call_waits_for_a_group_that_has_no_worker_yet(running: Deployment):
    journal = running.journal
    running.start_worker("service-foo")
    journal.open_gate("foo.between")
    journal.open_gate("bar.middle")
    with caller(running) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("foo.between ended")
        assert not handle.done()

        running.start_worker("service-bar")

        assert handle.result(RESULT_SECONDS) == RESULT
    assert_finished_steps_ran_once(running)
    assert journal.count("bar.middle begun") == 1


def test_a_call_waits_for_a_group_whose_workers_have_all_died(running: Deployment):
    journal = running.journal
    running.start_worker("service-foo")
    bars = [running.start_worker("service-bar") for _ in range(2)]
    journal.open_gate("foo.between")
    with caller(running) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("bar.middle begun")

        for bar in bars:
            running.kill(bar)
        assert not handle.done()
        running.start_worker("service-bar")

        journal.wait_for("bar.middle begun", times=2)
        journal.open_gate("bar.middle")
        assert handle.result(RESULT_SECONDS) == RESULT
    assert_finished_steps_ran_once(running)


@pytest.mark.parametrize(
    "moment", ["foo.first", "foo.between begun", "bar.middle begun", "foo.between ended"]
)
def test_a_server_that_is_killed_loses_nothing(deployment: Deployment, moment: str):
    journal = deployment.journal
    server = deployment.start_server()
    deployment.start_worker("service-foo")
    deployment.start_worker("service-bar")
    if moment == "foo.between ended":
        journal.open_gate("foo.between")
    with caller(deployment) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for(moment)

        deployment.kill(server)
        journal.open_gate("foo.between")
        journal.open_gate("bar.middle")
        deployment.start_server()

        assert handle.result(RESULT_SECONDS) == RESULT
    assert_only_first_steps_were_interrupted(deployment)


def test_another_server_takes_the_partitions_of_one_that_is_killed(deployment: Deployment):
    journal = deployment.journal
    deployment.set("RESONATE_PARTITIONS", "3")
    server = deployment.start_server()
    deployment.start_server()
    deployment.start_worker("service-foo")
    deployment.start_worker("service-bar")
    with caller(deployment) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("foo.between begun")

        deployment.kill(server)
        journal.open_gate("foo.between")
        journal.open_gate("bar.middle")

        assert handle.result(RESULT_SECONDS) == RESULT
    assert_only_first_steps_were_interrupted(deployment)


def test_a_call_that_is_made_while_no_server_runs_is_carried_out_by_the_next_one(
    deployment: Deployment,
):
    journal = deployment.journal
    server = deployment.start_server()
    deployment.start_worker("service-foo")
    deployment.start_worker("service-bar")
    journal.open_gate("foo.between")
    journal.open_gate("bar.middle")
    with caller(deployment) as client:
        client.promises.create("warm-up", expires_in=60)
        deployment.kill(server)

        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        deployment.start_server()

        assert handle.result(RESULT_SECONDS) == RESULT
    assert_finished_steps_ran_once(deployment)


def test_the_same_id_attaches_to_the_execution_that_is_there(running: Deployment):
    journal = running.journal
    running.start_worker("service-foo")
    running.start_worker("service-bar")
    first_client = caller(running)
    first_client.options(target="service-foo").begin_rpc("call", "foo").created(30)
    journal.wait_for("foo.between begun")
    first_client.stop()

    with caller(running) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.open_gate("foo.between")
        journal.open_gate("bar.middle")
        assert handle.result(RESULT_SECONDS) == RESULT
        assert client.options(target="service-foo").rpc("call", "foo") == RESULT
    assert_finished_steps_ran_once(running)
