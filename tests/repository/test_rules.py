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
            "test_in_another_cluster_the_same_number_means_nothing",
            "test_a_session_that_hangs_in_its_commit_is_ended",
        ),
    ),
    "C6: one poisonous row does not take its batch down": (
        "tests/unit/broker/kernel/test_system_failures.py",
        (
            "test_a_batch_that_the_database_rejects_is_split_until_the_poisonous_request_is_alone",
            "test_a_request_whose_rule_raises_is_answered_500_and_the_others_are_not_harmed",
            "test_a_batch_that_fails_for_too_long_is_answered_503",
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
            "test_a_promise_past_its_deadline_is_created_first",
            "test_a_coroutine_is_created_before_it_runs",
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
            "test_what_has_no_version_is_not_carried_out_again_after_a_while",
        ),
    ),
    "C14: heartbeats never queue behind work": (
        "tests/unit/broker/background/test_lease_expiry.py",
        (
            "test_no_lease_runs_out_while_heartbeats_cannot_be_heard",
            "test_a_lease_runs_out_only_after_listening_for_5_s_or_a_third_of_it",
            "test_a_server_that_does_not_know_the_clock_of_the_store_has_not_heard_anything",
            "test_a_lease_that_may_not_run_out_yet_is_looked_at_again_while_listening",
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
            "test_what_its_executions_waited_for_is_forgotten_with_it",
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
            "test_a_hint_that_finds_its_slot_taken_goes_back_after_a_moment",
            "test_the_prefetch_grows_when_it_is_what_limits_the_hints",
            "test_a_new_connection_begins_anew_while_executions_go_on",
        ),
    ),
    "C25: joins wait for what is needed": (
        "tests/unit/sdk/execution/test_suspension.py",
        (
            "test_the_join_at_the_end_names_the_last_pending_one",
            "test_each_parked_body_names_what_it_waits_for",
        ),
    ),
    "C4: a clock that is put back": (
        "tests/unit/store/test_instants.py",
        (
            "test_a_clock_that_is_put_back_does_not_take_the_instants_back",
            "test_nor_does_that_of_another_database_server",
        ),
    ),
    "C5: requests of unknown fate are not run again": (
        "tests/unit/broker/kernel/test_system_failures.py",
        ("test_requests_of_unknown_fate_are_answered_500_and_not_run_again",),
    ),
    "C6: what came again shares no batch": (
        "tests/unit/broker/kernel/test_system.py",
        ("test_a_solitary_request_shares_its_batch_only_with_those_of_its_number",),
    ),
    "C10: a hint comes once": (
        "tests/unit/sdk/worker/test_early_pass.py",
        ("test_a_hint_that_comes_twice_starts_one_body_early",),
    ),
    "C11: what a complete preload is": (
        "tests/unit/sdk/worker/test_worker.py",
        (
            "test_a_preload_is_complete_if_it_was_asked_for_not_cut_and_found_by_the_branch",
            "test_what_was_acquired_at_the_first_try_has_no_preload_so_no_recorded_step_is_run_again",
        ),
    ),
    "C12: answers wait, and not for ever": (
        "tests/integration/amqp/test_replies.py",
        (
            "test_answers_wait_while_the_broker_does_not_keep_up_and_leave_in_order",
            "test_an_answer_that_has_waited_longer_than_anybody_does_is_dropped",
        ),
    ),
    "C12: nothing more is sent to a broker that does not keep up": (
        "tests/integration/amqp/test_messages.py",
        ("test_nothing_is_published_while_the_broker_does_not_keep_up",),
    ),
    "C12: when the broker does not keep up": (
        "tests/unit/broker/test_congestion.py",
        (
            "test_a_broker_keeps_up_while_nothing_is_above_its_limit",
            "test_one_thing_above_its_limit_is_enough",
        ),
    ),
    "C13: what has no version is not repeated late": (
        "tests/unit/broker/api/test_repeats.py",
        (
            "test_an_old_repetition_without_a_version_comes_too_late",
            "test_a_young_one_does_not",
            "test_nor_does_what_has_arrived_for_the_first_time",
        ),
    ),
    "C14: heartbeats go first in the kernel": (
        "tests/unit/broker/kernel/test_system.py",
        (
            "test_an_urgent_request_goes_before_those_that_wait_in_the_queue",
            "test_an_urgent_request_is_in_the_next_batch_however_much_waits",
        ),
    ),
    "C14: whether heartbeats are heard": (
        "tests/unit/broker/api/test_heartbeats.py",
        (
            "test_heartbeats_are_heard_while_none_waits",
            "test_nothing_is_heard_while_a_heartbeat_may_be_waiting",
            "test_a_heartbeat_that_waits_for_the_kernel_is_not_heard",
            "test_nothing_is_heard_while_the_broker_takes_no_messages",
        ),
    ),
    "C14: since when heartbeats are heard": (
        "tests/integration/amqp/test_heartbeats.py",
        (
            "test_heartbeats_are_heard_since_the_first_look_that_found_none_waiting",
            "test_nothing_is_heard_without_the_queue",
            "test_nothing_is_heard_while_heartbeats_wait_for_the_kernel",
            "test_nothing_is_heard_until_the_broker_has_taken_the_probe",
        ),
    ),
    "C15: hints are sent, queued and sent again": (
        "tests/unit/broker/background/test_dispatch.py",
        (
            "test_a_task_goes_behind_those_that_are_queued_even_if_there_is_room",
            "test_a_hint_that_was_overtaken_is_sent_again",
            "test_a_hint_that_is_no_more_in_the_queue_is_sent_again_to_anyone",
            "test_a_task_of_a_group_without_workers_is_queued_again",
        ),
    ),
    "C15: a queue that was deleted is made again": (
        "tests/integration/amqp/test_messages.py",
        ("test_a_queue_that_was_deleted_is_made_again_before_the_next_message",),
    ),
    "C16: a timer is never too late": (
        "tests/unit/broker/test_rules.py",
        ("test_a_timer_that_stands_too_late_is_moved",),
    ),
    "C16: the sweep is woken by what is armed": (
        "tests/unit/broker/kernel/test_system_background.py",
        (
            "test_a_timer_that_a_batch_armed_wakes_the_sweep_when_it_is_due",
            "test_listeners_that_were_told_are_forgotten_after_a_moment_without_a_batch",
        ),
    ),
    "C18: a fence is progress": (
        "tests/unit/broker/operations/test_task_fence.py",
        ("test_a_fence_is_progress_and_clears_the_count_of_lost_leases",),
    ),
    "C18: so is sleeping": (
        "tests/unit/broker/operations/test_task_suspend.py",
        ("test_sleeping_is_progress_and_clears_the_count_of_lost_leases",),
    ),
    "C20: runs are recorded around their commit": (
        "tests/unit/broker/kernel/test_system_recording.py",
        (
            "test_runs_are_intended_before_they_are_written_and_ended_after",
            "test_a_commit_of_unknown_fate_is_told_as_such",
            "test_what_is_refused_without_a_look_at_the_store_is_told_by_itself",
        ),
    ),
    "C21: all that waits is loaded": (
        "tests/contract/test_store.py",
        ("test_who_may_settle_is_loaded_with_all_that_waits_for_it",),
    ),
    "C23: the next event waits for the one before": (
        "tests/integration/amqp/test_event_outlet.py",
        (
            "test_events_that_are_confirmed_are_forgotten",
            "test_an_event_does_not_leave_before_the_one_before_it_is_confirmed",
        ),
    ),
    "C23: one server publishes": (
        "tests/integration/test_postgres_store.py",
        ("test_of_two_servers_one_publishes_events_and_the_other_does_not_wait",),
    ),
    "C25: all wait for the last": (
        "tests/unit/sdk/execution/test_combinators.py",
        ("test_all_settled_sleeps_until_the_last",),
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
