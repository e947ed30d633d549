from pathlib import Path

import pytest

from resonate_broker.cli.settings import client_settings, server_settings, shown_url
from resonate_broker.config import ConfigError

SECRET = "s3cret"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path) -> None:
    """Neither variables nor a file of the developer."""
    for variable in ("RESONATE_URL", "RESONATE_DATABASE_URL", "RESONATE_NAMESPACE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def test_an_option_outranks_the_environment_and_that_the_file(monkeypatch, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('url = "amqp://file"\nnamespace = "file"\ndatabase_url = "postgresql://file"\n')
    monkeypatch.setenv("RESONATE_URL", "amqp://environment")
    monkeypatch.setenv("RESONATE_NAMESPACE", "environment")

    config = server_settings(file, None, None, "option")

    assert config.database_url == "postgresql://file"
    assert config.url == "amqp://environment"
    assert config.namespace == "option"


def test_the_database_does_not_matter_to_a_client(monkeypatch):
    monkeypatch.setenv("RESONATE_DATABASE_URL", "nonsense")

    assert client_settings(None, "amqp://host", None).url == "amqp://host"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"http://u:{SECRET}@host/", "'url' begins with http://: write amqp://"),
        ("host", "'url' is no URL: write amqp://"),
        (f"u:{SECRET}@host", "'url' is no URL: write amqp://"),
        (f"amqp://u:{SECRET}/x@host/", "'url' is no URL with a host and a port"),
        ("amqp://host:port/", "'url' is no URL with a host and a port"),
        (f"amqp://u:{SECRET}@[::1/", "'url' is no URL with a host and a port"),
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url, message):
    with pytest.raises(ConfigError, match=f"^setting {message}") as caught:
        client_settings(None, url, None)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///db?host=/run/postgresql",
        "postgres://u@a:1,b:2/db",
        "postgresql://[::1]:5432/",
    ],
)
def test_every_form_of_a_database_url_is_taken(url):
    assert server_settings(None, None, url, None).database_url == url


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"cannot read nowhere\.toml"):
        client_settings(Path("nowhere.toml"), None, None)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://u:s3cret@host:5672/vhost", "amqp://u:***@host:5672/vhost"),
        ("amqp://u@host/", "amqp://u@host/"),
        ("amqp://host", "amqp://host"),
        ("amqp://u:s3c@ret@host/", "amqp://u:***@host/"),
        ("postgresql://u:s3cret@a:1,b:2/db", "postgresql://u:***@a:1,b:2/db"),
        (
            "postgresql://u@h/db?sslmode=require&Password=s3cret&x=1",
            "postgresql://u@h/db?sslmode=require&Password=***&x=1",
        ),
        ("postgresql:///db?host=/run", "postgresql:///db?host=/run"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert shown_url(url) == shown
