"""Encoders of single calls."""

import json
from fractions import Fraction

import pytest

from resonate_sdk import Codec, DecodeError, EncodeError, Resonate, UsageError
from resonate_sdk.encoding.encoder import decoding_by, encode_by

CODEC = Codec()


class Fractions:
    """Writes fractions as pairs, at any depth."""

    def encode(self, value):
        return json.dumps(value, default=lambda found: [found.numerator, found.denominator])

    def decode(self, text):
        return None if text is None else Fraction(*json.loads(text))


def test_an_encoder_writes_a_call_and_reads_its_result():
    stored = encode_by(Fractions(), CODEC, {"func": "f", "args": [Fraction(1, 3)]})

    assert CODEC.decode(stored) == {"func": "f", "args": [[1, 3]]}
    assert decoding_by(Fractions(), CODEC)(CODEC.encode([2, 3])) == Fraction(2, 3)
    assert decoding_by(Fractions(), CODEC)(CODEC.encode(None)) is None


def test_it_is_used_by_the_calls_that_are_given_it():
    with Resonate.local() as resonate:

        @resonate.register
        def half(ctx, pair: list[int]) -> list[int]:
            return [pair[0], 2 * pair[1]]

        given = resonate.options(encoder=Fractions())
        assert given.run("a", "half", Fraction(1, 3)) == Fraction(1, 6)
        assert given.rpc("b", "half", Fraction(1, 5)) == Fraction(1, 10)
        assert half.options(encoder=Fractions()).run("c", [1, 7]) == Fraction(1, 14)
        assert half.run("c", [1, 7]) == [1, 14]


class Broken:
    def encode(self, value):
        return value["made"]

    def decode(self, text):
        raise LookupError("no decoder")


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        ({"made": 5}, r"encoder= makes JSON text of a call, found 5"),
        ({"made": None}, r"encoder= makes JSON text of a call, found None"),
        ({}, r"encoder= could not write the call: 'made'"),
        ({"made": "{"}, r"data= is JSON text"),
    ],
)
def test_an_encoder_that_makes_something_else_is_refused(made, sentence):
    with pytest.raises(EncodeError, match=sentence):
        encode_by(Broken(), CODEC, made)


def test_an_encoder_that_cannot_read_says_so():
    with pytest.raises(DecodeError, match="encoder= could not read the result: no decoder"):
        decoding_by(Broken(), CODEC)(CODEC.encode(1))


def test_what_is_no_encoder_is_refused():
    with Resonate.local() as resonate, pytest.raises(UsageError, match="with encode and decode"):
        resonate.options(encoder="json")  # pyright: ignore[reportArgumentType]
