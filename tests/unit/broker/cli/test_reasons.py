import pytest

from resonate_broker.cli.reasons import database_failure, rabbitmq_failure
from resonate_broker.config import Config

CONFIG = Config(
    url="amqp://u:s3cret@rabbit:5672/", database_url="postgresql://u:s3cret@db/app", namespace="n"
)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
            "wrong user name or password: correct the URL",
        ),
        (
            "Expected one of ['Connection.OpenOk'], got <Connection.Close object at 0x7faa>",
            "there is no such virtual host, or this user may not use it",
        ),
        (
            "[Errno 111] Connect call failed ('127.0.0.1', 1)",
            "nothing listens there (connection refused): start it, or correct the URL",
        ),
        (
            "[Errno -2] Name or service not known",
            "the name of the host is unknown: correct the URL",
        ),
        (
            "[Errno -3] Temporary failure in name resolution",
            "the name of the host is unknown: correct the URL",
        ),
        ("[Errno 101] Network is unreachable", "there is no way to this host"),
        ("[Errno 113] No route to host", "there is no way to this host"),
        ("no answer in time", "it does not answer"),
        ("something new", "something new"),
    ],
)
def test_why_there_is_no_connection_is_said_in_words(reason, words):
    failure = rabbitmq_failure(CONFIG, f"cannot connect to amqp://u:***@rabbit:5672/: {reason}")

    assert str(failure) == (
        f"cannot reach RabbitMQ at amqp://u:***@rabbit:5672/ (namespace 'n'): {words}"
    )
    assert failure.code == 3


def test_what_a_broker_refuses_is_not_called_unreachable():
    failure = rabbitmq_failure(CONFIG, "could not declare: PRECONDITION_FAILED - inequivalent arg")

    assert str(failure) == (
        "cannot use RabbitMQ at amqp://u:***@rabbit:5672/ (namespace 'n'): "
        "could not declare: PRECONDITION_FAILED - inequivalent arg"
    )


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("the database did not answer in time", "it does not answer"),
        (
            'database "app" does not exist (3D000)',
            'database "app" does not exist (3D000): create it, or correct the URL',
        ),
        (
            'password authentication failed for user "u" (28P01)',
            'password authentication failed for user "u" (28P01): correct the URL',
        ),
        (
            'no pg_hba.conf entry for host "h", user "u" (28000)',
            'no pg_hba.conf entry for host "h", user "u" (28000): correct the URL, or let the user '
            "in",
        ),
        (
            "the database cannot be reached: PostgreSQL server at 'db:1' rejected SSL upgrade",
            "it does not speak TLS on this port: is it PostgreSQL, and set up for TLS?",
        ),
        ("remaining connection slots are reserved (53300)",) * 2,
    ],
)
def test_a_database_is_named_without_its_password(reason, words):
    assert str(database_failure(CONFIG, reason)) == (
        f"cannot use the database at postgresql://u:***@db/app (schema 'n'): {words}"
    )
