"""What is ready together travels together, within the limits, and chains stay whole."""

from itertools import chain as flattened

import pytest
from hypothesis import given, settings, strategies as st

from resonate_sdk.protocol import limits
from resonate_sdk.protocol.coalescing import Ready, into_messages
from resonate_sdk.protocol.envelope import join


def make_ready(size=10, chain=None, ticket=None):
    return Ready(b"x" * size, chain, ticket)


def body_size(message):
    return len(join([item.encoded for item in message]))


def test_nothing_makes_no_message():
    assert list(into_messages([])) == []


def test_few_requests_share_one_message():
    ready = [make_ready(ticket=n) for n in range(5)]

    assert list(into_messages(ready)) == [ready]


def test_a_message_has_at_most_as_many_envelopes_as_the_limit_says():
    ready = [make_ready(ticket=n) for n in range(2 * limits.ENVELOPES_PER_MESSAGE_MAX + 1)]

    messages = list(into_messages(ready))

    assert [len(message) for message in messages] == [
        limits.ENVELOPES_PER_MESSAGE_MAX,
        limits.ENVELOPES_PER_MESSAGE_MAX,
        1,
    ]
    assert list(flattened.from_iterable(messages)) == ready


@pytest.mark.parametrize("missing", range(-2, 5))
def test_a_message_is_never_larger_than_the_limit(missing):
    half = limits.MESSAGE_BYTES_MAX // 2
    ready = [make_ready(half, ticket=1), make_ready(half - missing, ticket=2)]

    messages = list(into_messages(ready))

    assert max(body_size(message) for message in messages) <= limits.MESSAGE_BYTES_MAX
    assert list(flattened.from_iterable(messages)) == ready


def test_a_message_is_filled_to_the_limit():
    fits = limits.MESSAGE_BYTES_MAX - len(b"[,]")
    ready = [make_ready(fits // 2), make_ready(fits - fits // 2)]

    (message,) = into_messages(ready)

    assert body_size(message) == limits.MESSAGE_BYTES_MAX


def test_a_chain_is_not_broken_at_the_limit_of_envelopes():
    lone = [make_ready(ticket=n) for n in range(limits.ENVELOPES_PER_MESSAGE_MAX - 1)]
    chain = [make_ready(chain="c", ticket=n) for n in range(2)]

    assert list(into_messages([*lone, *chain])) == [lone, chain]


def test_a_chain_is_not_broken_at_the_limit_of_bytes():
    lone = [make_ready(limits.MESSAGE_BYTES_MAX // 2)]
    chain = [make_ready(limits.MESSAGE_BYTES_MAX // 3, "c"), make_ready(10, "c")]
    chain.append(make_ready(limits.MESSAGE_BYTES_MAX // 3, "c"))

    assert list(into_messages([*lone, *chain])) == [lone, chain]


def test_two_chains_may_share_a_message_or_not():
    first = [make_ready(chain="a"), make_ready(chain="a")]
    second = [make_ready(chain="b"), make_ready(chain="b")]

    assert list(into_messages([*first, *second])) == [[*first, *second]]


@settings(derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 1_100_000), st.sampled_from([None, None, "a", "b"]), st.integers(1, 3)
        ),
        max_size=30,
    )
)
def test_order_limits_and_chains_hold_for_any_requests(specification):
    ready = []
    for number, (size, chain, length) in enumerate(specification):
        name = None if chain is None else f"{chain}{number}"
        ready += [make_ready(size, name, (number, n)) for n in range(length if chain else 1)]

    messages = list(into_messages(ready))

    assert list(flattened.from_iterable(messages)) == ready
    homes = {}
    for index, message in enumerate(messages):
        assert body_size(message) <= limits.MESSAGE_BYTES_MAX
        assert len(message) <= limits.ENVELOPES_PER_MESSAGE_MAX
        for item in message:
            if item.chain is not None:
                assert homes.setdefault(item.chain, index) == index
