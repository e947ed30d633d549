"""How long a transaction waits before it is tried again."""

from resonate_broker.aio.store import CONFLICT_RETRY_S_MAX, pause_s_max


def test_the_first_transaction_begins_at_once():
    assert pause_s_max(0) == 0.0


def test_each_failure_in_a_row_doubles_the_pause_up_to_a_limit():
    pauses = [pause_s_max(failures) for failures in range(1, 12)]

    assert pauses[:3] == [0.002, 0.004, 0.008]
    assert pauses == sorted(pauses)
    assert pauses[-1] == CONFLICT_RETRY_S_MAX


def test_a_disk_that_stays_full_for_days_is_tried_at_the_longest_pause():
    assert pause_s_max(1_000_000) == CONFLICT_RETRY_S_MAX
