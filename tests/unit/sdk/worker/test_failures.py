from resonate_sdk.worker.failures import Failures


def test_failures_are_counted_until_they_are_forgotten():
    failures = Failures()

    assert [failures.add("a"), failures.add("b"), failures.add("a")] == [1, 1, 2]
    failures.forget("a")

    assert (failures.count("a"), failures.count("b"), failures.count("c")) == (0, 1, 0)


def test_of_too_many_tasks_those_are_forgotten_that_have_not_failed_for_longest():
    failures = Failures(tasks_max=2)

    for id in ("a", "b", "a", "c"):
        failures.add(id)

    assert [failures.count(id) for id in "abc"] == [2, 0, 1]
