import pytest
from hypothesis import given, settings, strategies as st

from resonate_sdk.protocol import addresses
from resonate_sdk.protocol.addresses import Address, AddressError

names = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("billing", "amqp://any@billing"),
        ("w1", "amqp://any@w1"),
        ("a" * 64, f"amqp://any@{'a' * 64}"),
        ("poll://billing", "amqp://any@billing"),
        ("amqp://billing", "amqp://any@billing"),
        ("poll://any@billing", "amqp://any@billing"),
        ("amqp://any@billing", "amqp://any@billing"),
        ("poll://any@billing/w-1", "amqp://any@billing/w-1"),
        ("amqp://any@billing/w_1", "amqp://any@billing/w_1"),
        ("poll://uni@billing/w1", "amqp://uni@billing/w1"),
        ("amqp://uni@billing/w1", "amqp://uni@billing/w1"),
        ("celery://mails", "celery://mails"),
        ("celery://mails.fast", "celery://mails.fast"),
        ("celery://shop%2Fx/order.paid", "celery://shop%2Fx/order.paid"),
        ("celery://shop x/order.paid", "celery://shop x/order.paid"),
    ],
)
def test_every_accepted_form_has_one_stored_form(text: str, stored: str):
    assert addresses.normalize(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "a.b",
        "a" * 65,
        "billing\n",
        "billing\x00",
        "bïlling",
        "amqp://",
        "amqp://any@",
        "amqp://@billing",
        "amqp://billing/w1",
        "amqp://uni@billing",
        "amqp://uni@billing/",
        "amqp://any@billing/",
        "amqp://any@billing/w1/w2",
        f"amqp://any@billing/{'w' * 65}",
        "amqp://all@billing",
        "AMQP://any@billing",
        "amqp:any@billing",
        "http://example.org/hook",
        "https://example.org/hook",
        "gcps://project/topic",
        "bash://any",
        "nats://subject",
        "sqs+https://queue",
    ],
)
def test_what_no_transport_here_can_reach_is_refused(text: str):
    with pytest.raises(AddressError):
        addresses.parse(text)


def test_a_refusal_says_which_forms_there_are():
    with pytest.raises(AddressError, match=r"'http://x'.*'amqp://any@group'"):
        addresses.parse("http://x")


def test_a_unicast_without_a_process_is_told_what_it_lacks():
    with pytest.raises(AddressError, match="names no process"):
        addresses.parse("poll://uni@billing")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("billing", Address("any", "billing")),
        ("poll://any@billing/w1", Address("any", "billing", "w1")),
        ("amqp://uni@billing/w1", Address("uni", "billing", "w1")),
    ],
)
def test_an_address_is_read_into_its_parts(text: str, address: Address):
    assert addresses.parse(text) == address


@settings(derandomize=True, max_examples=200)
@given(cast=st.sampled_from(["any", "uni"]), group=names, pid=names)
def test_the_stored_form_is_read_back_as_the_same_address(cast: str, group: str, pid: str):
    address = Address(cast, group, pid)  # pyright: ignore[reportArgumentType]  # sampled

    assert addresses.parse(str(address)) == address
    assert addresses.normalize(str(address)) == str(address)


@settings(derandomize=True, max_examples=200)
@given(st.text(max_size=90))
def test_any_text_is_an_address_or_refused_as_none(text: str):
    try:
        stored = addresses.normalize(text)
    except AddressError:
        return
    assert addresses.normalize(stored) == stored
