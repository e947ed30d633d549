from rich.text import Text

from resonate_broker.cli.tables import WIDTH_MAX, table_lines


def lines(heads, *rows):
    return [line.plain for line in table_lines(heads, rows)]


def test_columns_are_as_wide_as_what_stands_in_them():
    assert lines(("ID", "STATE", "AGE"), ("a", Text("pending"), "3s"), ("longer", "x", "1m")) == [
        "ID      STATE    AGE",
        "a       pending  3s",
        "longer  x        1m",
    ]


def test_a_column_in_which_nobody_has_anything_is_left_out():
    assert lines(("A", "B", "C"), ("1", "", "2"), ("3", "", "")) == ["A  C", "1  2", "3"]


def test_a_table_without_rows_has_no_head():
    assert lines(("A",)) == []


def test_wide_signs_count_twice_and_those_that_control_the_terminal_are_escaped():
    assert lines(("A", "B"), ("日本", "1"), ("a\x1b", "2")) == ["A      B", "日本   1", "a\\x1b  2"]


def test_what_is_very_long_moves_the_rest_of_its_own_line_alone():
    long = "i" * (WIDTH_MAX + 1)

    assert lines(("ID", "STATE"), (long, "pending"), ("a", "resolved")) == [
        "ID  STATE",
        f"{long}  pending",
        "a   resolved",
    ]
