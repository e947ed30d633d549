from resonate_sdk.worker.failures import DELAY_S_MAX, Failures, delay_s


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


def test_a_task_that_goes_on_failing_is_kept_ever_longer_up_to_a_limit():
    delays = [delay_s("a", attempts) for attempts in range(1, 7)]

    for longest_s, found_s in zip((1, 2, 4, 8, 16, 30), delays, strict=True):
        assert 0.75 * longest_s <= found_s <= longest_s


def test_a_task_that_has_been_refused_for_days_is_kept_as_long_as_the_limit_says():
    assert 0.75 * DELAY_S_MAX <= delay_s("a", 100_000) <= DELAY_S_MAX


def test_tasks_that_fail_together_do_not_come_back_together():
    delays = {delay_s(f"task.{number}", 1) for number in range(20)}

    assert len(delays) == 20
    assert delays == {delay_s(f"task.{number}", 1) for number in range(20)}
