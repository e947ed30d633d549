import pytest

from resonate_broker.config import ConfigError, load_config


def test_a_setting_that_nobody_knows_is_named():
    with pytest.raises(
        ConfigError, match=r"unknown setting 'retention.age': .*in RESONATE_RETENTION__AGE$"
    ):
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


def test_an_empty_variable_is_as_good_as_none():
    assert load_config({}, environment={"RESONATE_URL": ""}) == load_config({}, environment={})


def test_a_secret_is_what_a_file_has_without_the_end_of_its_line(tmp_path):
    secret = tmp_path / "url"
    secret.write_text("amqp://me:secret@broker/\n")

    config = load_config({}, environment={"RESONATE_URL_FILE": f"{secret}"})

    assert config.url == "amqp://me:secret@broker/"


def test_a_secret_that_cannot_be_read_is_named(tmp_path):
    missing = f"{tmp_path / 'missing'}"

    with pytest.raises(ConfigError, match=f"RESONATE_URL_FILE names {missing}, which cannot be"):
        load_config({}, environment={"RESONATE_URL_FILE": missing})


def test_a_section_may_be_set_in_parts(tmp_path):
    file = tmp_path / "resonate.toml"
    file.write_text("[kernel]\nbatch = 7\nprefetch = 8\n")

    config = load_config(
        {"kernel": {"submissions": 5}}, file=file, environment={"RESONATE_KERNEL__PREFETCH": "9"}
    )

    assert (config.kernel.batch, config.kernel.prefetch, config.kernel.submissions) == (7, 9, 5)


def test_a_file_that_is_no_toml_is_named(tmp_path):
    file = tmp_path / "resonate.toml"
    file.write_text("batch: 7")

    with pytest.raises(ConfigError, match=r"resonate\.toml is not TOML"):
        load_config({}, file=file, environment={})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("kernel.batch", "0"),
        ("shutdown.drain_s", "-1"),
        ("retention.age_s", "0.5"),
        ("events.log_days", "0"),
        ("events.log_days", "3651"),
    ],
)
def test_a_value_out_of_its_range_is_refused(setting, value):
    variable = f"RESONATE_{setting.upper().replace('.', '__')}"

    with pytest.raises(ConfigError, match=f"setting '{setting}'"):
        load_config({}, environment={"RESONATE_EVENTS__ENABLED": "true", variable: value})


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RESONATE_EVENTS__LOG_DAYS", "1", "keeps nothing while events.enabled is false"),
        ("RESONATE_INTEGRATION__REPLY_TO", "(", r"reply_to '\(' is no pattern"),
        ("RESONATE_NAMESPACE", "A b", "a namespace is 1 to 32 of a-z"),
    ],
)
def test_a_senseless_value_is_refused_in_words(variable, value, message):
    with pytest.raises(ConfigError, match=message):
        load_config({}, environment={variable: value})


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
