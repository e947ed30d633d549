"""The rules that keep batches, crashes and duplicates harmless, and the tests that prove each."""

import pytest

from tests.repository.sources import functions_in

# What each rule says, and where it is proven.
RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "C1: lock first, read afterwards": (
        "tests/integration/test_postgres_store.py",
        (
            "test_who_waited_for_a_task_sees_that_it_was_granted",
            "test_who_waited_to_settle_sees_who_has_come_to_wait",
            "test_what_is_inserted_while_the_lock_is_waited_for_does_not_exist",
        ),
    ),
    "C2: one lock discipline, without deadlocks": (
        "tests/integration/test_postgres_contention.py",
        ("test_servers_that_write_the_same_rows_lose_nothing",),
    ),
    "C2: awaiters that somebody holds are left to the drain": (
        "tests/integration/test_postgres_store.py",
        (
            "test_an_awaiter_that_somebody_holds_is_left_to_the_drain",
            "test_forgetting_who_was_told_waits_for_nobody",
        ),
    ),
    "C3: a frozen server does not hold rows": (
        "tests/integration/test_postgres_store.py",
        ("test_the_rows_of_a_frozen_server_can_soon_be_had",),
    ),
    "C3: a server that wakes up does no harm": (
        "tests/acceptance/recovery/test_frozen_processes.py",
        ("test_a_server_that_wakes_up_when_another_has_its_work_does_no_harm",),
    ),
    "C4: one clock, read after the locks": (
        "tests/contract/test_store.py",
        ("test_the_instant_never_runs_backwards",),
    ),
    "C4: a batch that is run again has a new instant": (
        "tests/unit/broker/kernel/test_system_failures.py",
        ("test_a_batch_that_is_run_again_decides_on_the_rows_and_at_the_instant_of_the_new_run",),
    ),
    "C5: the unknown fate of a commit": (
        "tests/integration/test_postgres_fate.py",
        (
            "test_a_commit_whose_answer_was_lost_has_been_carried_out",
            "test_a_commit_that_never_arrived_has_not_been_carried_out",
            "test_what_the_database_cannot_know_stays_unknown",
        ),
    ),
    "C6: one poisonous row does not take its batch down": (
        "tests/unit/broker/kernel/test_system_failures.py",
        (
            "test_a_batch_that_the_database_rejects_is_split_until_the_poisonous_request_is_alone",
            "test_a_request_whose_rule_raises_is_answered_500_and_the_others_are_not_harmed",
        ),
    ),
    "C7: SQLite has one owner": (
        "tests/acceptance/local/test_files.py",
        (
            "test_a_second_process_gets_one_sentence_that_names_the_file",
            "test_the_file_is_not_opened_twice_inside_one_process",
        ),
    ),
    "C8: order has one carrier, the chain": (
        "tests/unit/broker/kernel/test_system_chains.py",
        (
            "test_what_follows_a_refusal_in_its_chain_is_answered_409_and_changes_nothing",
            "test_a_chain_that_failed_in_one_batch_is_not_attempted_in_the_next_one",
        ),
    ),
    "C9: no guessed version outside a chain": (
        "tests/integration/amqp/test_shapes.py",
        (
            "test_a_task_is_acquired_and_fulfilled_in_one_message",
            "test_who_did_not_get_a_task_does_not_fulfill_it_for_the_one_who_did",
            "test_a_heartbeat_in_a_chain_waits_its_turn",
        ),
    ),
    "C10: when a body may start before its acquire is answered": (
        "tests/unit/sdk/worker/test_overlap.py",
        (
            "test_a_hint_that_is_not_fresh_must_wait",
            "test_a_hint_that_somebody_may_have_had_or_whose_age_is_unknown_must_wait",
            "test_a_task_is_started_for_the_first_time_once",
        ),
    ),
    "C11: create and settle in one trip": (
        "tests/unit/sdk/execution/test_one_trip.py",
        (
            "test_what_others_may_know_of_is_created_first",
            "test_without_a_complete_preload_it_is_created_first",
            "test_the_record_counts_not_the_value",
        ),
    ),
    "C12: acknowledge after the commit, and drain under an alarm": (
        "tests/integration/amqp/test_congestion.py",
        (
            "test_a_server_drains_the_queue_under_an_alarm_and_answers_when_it_is_over",
            "test_requests_that_are_sent_under_an_alarm_are_carried_out_when_it_is_over",
        ),
    ),
    "C13: redelivery after a commit": (
        "tests/integration/amqp/test_redelivery.py",
        (
            "test_a_message_that_arrives_twice_gets_the_same_answer_and_has_one_effect",
            "test_a_message_that_is_no_repetition_by_itself_is_refused_the_second_time",
            "test_what_a_server_committed_before_it_died_is_answered_by_the_next_one",
        ),
    ),
    "C14: heartbeats never queue behind work": (
        "tests/unit/broker/background/test_lease_expiry.py",
        (
            "test_no_lease_runs_out_while_heartbeats_cannot_be_heard",
            "test_a_lease_runs_out_only_after_listening_for_5_s_or_a_third_of_it",
        ),
    ),
    "C14: an alarm takes nobody's task away": (
        "tests/integration/amqp/test_congestion.py",
        ("test_an_alarm_that_outlasts_a_lease_does_not_take_the_task_away",),
    ),
    "C15: the database is the queue, RabbitMQ holds a window of hints": (
        "tests/integration/amqp/test_hints.py",
        (
            "test_no_more_hints_than_the_window_are_on_the_broker",
            "test_tasks_survive_the_loss_of_everything_on_the_broker",
            "test_a_hint_that_a_worker_took_and_forgot_is_sent_again",
        ),
    ),
    "C16: nothing waits for ever": (
        "tests/integration/amqp/test_hints.py",
        (
            "test_the_group_is_told_when_that_process_does_not_take_its_hint",
            "test_a_hint_that_died_with_its_process_is_sent_again_to_the_group",
        ),
    ),
    "C16: a message for a listener is owed until it is confirmed": (
        "tests/integration/amqp/test_listeners.py",
        (
            "test_a_process_that_is_gone_is_forgotten",
            "test_news_that_a_full_queue_refused_are_sent_again",
            "test_news_that_a_server_owed_when_it_ended_are_sent_by_the_next",
        ),
    ),
    "C19: what applications leave holds nobody up": (
        "tests/integration/test_postgres_inbox.py",
        (
            "test_an_open_transaction_stops_nobody",
            "test_of_two_servers_one_takes_a_row_and_nobody_waits",
            "test_what_a_server_held_when_it_died_is_taken_by_another",
        ),
    ),
    "C22: retention removes whole trees that nobody refers to": (
        "tests/contract/test_retention.py",
        (
            "test_a_tree_goes_as_a_whole",
            "test_a_tree_stays_while_one_of_it_is_pending_or_young",
            "test_a_tree_stays_while_something_refers_to_it",
            "test_a_promise_that_another_tree_uses_goes_after_that_tree",
        ),
    ),
    "C18: a task that kills its holders is put off": (
        "tests/unit/broker/background/test_lease_expiry.py",
        (
            "test_from_the_third_loss_in_a_row_on_the_next_dispatch_is_delayed",
            "test_the_longest_delay_is_ten_minutes",
        ),
    ),
    "C23: events are told at least once, in order": (
        "tests/integration/amqp/plain/test_events.py",
        (
            "test_events_of_an_origin_stay_in_order_whoever_publishes_them",
            "test_what_a_server_owed_when_it_ended_is_told_by_the_next",
            "test_what_was_told_and_not_forgotten_is_told_again_with_the_same_id",
            "test_a_full_queue_loses_nothing_and_mixes_nothing_up",
        ),
    ),
    "C23: a killed server leaves no event out": (
        "tests/acceptance/recovery/test_kill_events.py",
        ("test_a_server_that_is_killed_among_events_leaves_out_none",),
    ),
    "C24: an event is one execution, whatever dies": (
        "tests/acceptance/recovery/test_kill_triggers.py",
        ("test_a_server_that_is_killed_among_events_loses_and_doubles_none",),
    ),
    "C24: only who was called can reply": (
        "tests/unit/broker/integration/test_calls.py",
        ("test_nobody_else_makes_a_token", "test_a_token_is_of_one_promise_only"),
    ),
    "C20: a history has each run that committed": (
        "tests/unit/broker/api/test_history.py",
        (
            "test_a_committed_run_is_one_line",
            "test_an_aborted_run_is_left_out_and_the_one_after_it_is_written",
            "test_a_run_of_unknown_fate_is_answered_500_and_never_returns",
            "test_the_fate_of_a_run_is_unknown_if_its_server_died",
        ),
    ),
    "C20: what killed servers leave could have happened": (
        "tests/acceptance/recovery/test_kill_history.py",
        (
            "test_a_recording_of_servers_under_fire_is_exported_as_a_history_that_could_have_happened",
        ),
    ),
    "C20: a history could have happened": (
        "tests/integration/amqp/test_history.py",
        ("test_what_a_server_records_could_have_happened",),
    ),
    "C21: a batch decides like its parts": (
        "tests/contract/test_batches.py",
        ("test_a_batch_decides_like_its_parts",),
    ),
    "C21: the invariants hold after every coroutine": (
        "tests/simulation/test_simulation.py",
        (
            "test_all_seeds_keep_the_invariants_and_reach_every_status_of_every_kind",
            "test_some_seeds_keep_the_invariants_on_postgres",
        ),
    ),
    "C17: the broker delivers what fits": (
        "tests/unit/sdk/amqp/test_capacity.py",
        (
            "test_the_acknowledgement_is_withheld_while_the_slot_is_taken",
            "test_an_acknowledgement_that_was_withheld_for_too_long_ends_the_consumer",
            "test_a_sticky_hint_without_a_slot_is_passed_on_to_the_group",
        ),
    ),
    "C25: joins wait for what is needed": (
        "tests/unit/sdk/execution/test_suspension.py",
        (
            "test_the_join_at_the_end_names_the_last_pending_one",
            "test_each_parked_body_names_what_it_waits_for",
        ),
    ),
}
LAST_RULE = 25


def test_every_rule_is_proven():
    numbers = {int(rule.partition(":")[0].removeprefix("C")) for rule in RULES}

    assert numbers == set(range(1, LAST_RULE + 1))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_has_the_tests_that_prove_it(rule: str):
    module, names = RULES[rule]

    assert set(names) <= functions_in(module), f"{module} proves {rule}"
