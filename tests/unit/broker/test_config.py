import pytest

from resonate_broker.config import ConfigError, load_config


def test_a_setting_that_nobody_knows_is_named():
    with pytest.raises(ConfigError, match=r"unknown setting 'retention.age'"):
        load_config({}, environment={"RESONATE_RETENTION__AGE": "60"})


def test_a_server_that_records_what_it_decides_removes_nothing():
    environment = {"RESONATE_RETENTION__AGE_S": "60", "RESONATE_RECORD_HISTORY": "history.jsonl"}

    with pytest.raises(ConfigError, match=r"record_history and retention.age_s exclude each other"):
        load_config({}, environment=environment)


def test_each_of_the_two_is_possible_by_itself():
    assert load_config({}, environment={"RESONATE_RETENTION__AGE_S": "60"}).retention.age_s == 60
    recording = load_config({"record_history": "history.jsonl"}, environment={})
    assert recording.record_history == "history.jsonl"
