"""What people see of a dead letter."""

from msgspec.structs import replace

from resonate_broker.cli.dlq import letter_lines
from resonate_broker.integration.dead_letters import DeadLetter

LETTER = DeadLetter(
    id="3f2a",
    reason="no function",
    queue="ns.dead",
    kind=None,
    died_at_ms=None,
    first_died_at_ms=None,
    exchange="ns.submit",
    routing_key="invoke",
    message_id="charge-1",
    user_id=None,
    promise_id="charge-1",
    kept={"resonate-target": "payments"},
)


def shown(letter: DeadLetter) -> list[str]:
    return [line.plain for line in letter_lines(letter, b"{}", 0)]


def test_what_is_known_of_a_letter_stands_in_a_column_of_its_own():
    assert shown(LETTER) == [
        "3f2a",
        "  reason           no function",
        "  from             ns.submit invoke",
        "  message id       charge-1",
        "  promise id       charge-1",
        "  resonate-target  payments",
        "  body             {}",
    ]


def test_a_letter_that_says_little_is_short():
    assert shown(replace(LETTER, message_id=None, promise_id=None, kept={})) == [
        "3f2a",
        "  reason  no function",
        "  from    ns.submit invoke",
        "  body    {}",
    ]


def test_a_body_that_is_no_text_is_shown_as_far_as_it_is_one():
    (*_, body) = letter_lines(LETTER, b"pot \xff", 0)

    assert body.plain == "  body             pot \ufffd"
