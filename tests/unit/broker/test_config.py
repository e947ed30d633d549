import pytest

from resonate_broker.config import ConfigError, load_config


def test_a_setting_that_nobody_knows_is_named():
    with pytest.raises(ConfigError, match=r"unknown setting 'retention.age'"):
        load_config({}, environment={"RESONATE_RETENTION__AGE": "60"})


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("RESONATE_DATABSE_URL", "database_url"),
        ("RESONATE_RECORDHISTORY", "record_history"),
        ("RESONATE_EVENT", "events"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_named(variable, meant):
    with pytest.raises(ConfigError, match=f"{variable} is to mean '{meant}'"):
        load_config({}, environment={variable: "x"})


@pytest.mark.parametrize(
    "name", ["GROUP", "PID", "PREFIX", "LISTEN", "SERVICE_HOST", "PORT", "PORT_5672_TCP_ADDR"]
)
def test_variables_of_workers_and_of_others_are_left_alone(name):
    assert load_config({}, environment={f"RESONATE_{name}": "x"}) == load_config({}, environment={})


def test_a_server_that_records_what_it_decides_removes_nothing():
    environment = {"RESONATE_RETENTION__AGE_S": "60", "RESONATE_RECORD_HISTORY": "history.jsonl"}

    with pytest.raises(ConfigError, match=r"record_history and retention.age_s exclude each other"):
        load_config({}, environment=environment)


def test_each_of_the_two_is_possible_by_itself():
    assert load_config({}, environment={"RESONATE_RETENTION__AGE_S": "60"}).retention.age_s == 60
    recording = load_config({"record_history": "history.jsonl"}, environment={})
    assert recording.record_history == "history.jsonl"


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("", None),
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_probes_are_answered_at_a_host_and_a_port_or_nowhere(listen, address):
    config = load_config({}, environment={"RESONATE_HTTP__LISTEN": listen})

    assert config.http.address == address


@pytest.mark.parametrize("listen", ["9464", ":9464", "host:", "host:http", "host:65536"])
def test_where_nobody_can_listen_is_refused(listen):
    with pytest.raises(ConfigError, match=r"http\.listen '.*' is no host:port"):
        load_config({"http": {"listen": listen}}, environment={})
