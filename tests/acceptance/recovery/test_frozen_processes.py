"""Processes stand still (SIGSTOP) until others have taken over their work, and then go on."""

from tests.acceptance.recovery.conftest import caller
from tests.acceptance.recovery.deployment import STOP_SECONDS, Deployment

RESULT = 2
RESULT_SECONDS = 90
FINISHED = ("foo.first", "foo.last", "bar.first", "bar.last")


def assert_each_ran(deployment: Deployment, times: int) -> None:
    journal = deployment.journal
    assert {step: journal.count(step) for step in FINISHED} == dict.fromkeys(FINISHED, times)


def test_a_server_that_wakes_up_when_another_has_its_work_does_no_harm(deployment: Deployment):
    journal = deployment.journal
    first, second = deployment.start_server(), deployment.start_server()
    deployment.start_worker("service-foo")
    deployment.start_worker("service-bar")
    with caller(deployment) as client:
        service = client.options(target="service-foo")
        handle = service.begin_rpc("call", "foo")
        journal.wait_for("foo.between begun")
        journal.wait_for("bar.middle begun")

        with deployment.frozen(first):
            client.promises.create("somebody answers", expires_in=60)
            journal.open_gate("foo.between")
            journal.open_gate("bar.middle")
            assert handle.result(RESULT_SECONDS) == RESULT
            assert_each_ran(deployment, 1)

        deployment.kill(second)
        assert service.begin_rpc("again", "foo").result(RESULT_SECONDS) == RESULT
        assert client.promises.get("somebody answers").state == "pending"
    assert_each_ran(deployment, 2)
    assert first.poll() is None


def test_a_worker_that_wakes_up_when_another_has_its_task_does_no_harm(deployment: Deployment):
    journal = deployment.journal
    deployment.start_server()
    deployment.start_worker("service-foo")
    slow = deployment.start_worker("service-bar")
    journal.open_gate("foo.between")
    with caller(deployment) as client:
        handle = client.options(target="service-foo").begin_rpc("call", "foo")
        journal.wait_for("bar.middle begun")

        with deployment.frozen(slow):
            deployment.start_worker("service-bar")
            journal.wait_for("bar.middle begun", times=2)
            journal.open_gate("bar.middle")
            assert handle.result(RESULT_SECONDS) == RESULT

        journal.wait_for("bar.middle ended", times=2)  # it goes on where it stood
        slow.terminate()
        slow.wait(STOP_SECONDS)
    assert_each_ran(deployment, 1)
