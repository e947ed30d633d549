import pytest
import typer

from resonate_broker.cli.calls import call_arguments


@pytest.mark.parametrize(
    ("positional", "json_args", "expected"),
    [
        ((), None, ([], {})),
        ((1, "x"), None, ([1, "x"], {})),
        ((), [1, None], ([1, None], {})),
        ((), {"n": 1}, ([], {"n": 1})),
        ((1,), {"n": 2}, ([1], {"n": 2})),
    ],
)
def test_arguments_go_by_position_or_by_name(positional, json_args, expected):
    assert call_arguments(positional, json_args) == expected


@pytest.mark.parametrize(
    ("positional", "json_args"), [((1,), [2]), ((), "text"), ((), 7), ((), True)]
)
def test_arguments_that_say_two_things_or_nothing_are_refused(positional, json_args):
    with pytest.raises(typer.BadParameter, match="--json-args"):
        call_arguments(positional, json_args)
