"""Tables for people: aligned, without frames, so that they can also be cut and sorted by programs."""

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from resonate_broker.cli.output import plain

GAP = "  "
WIDTH_MAX = 100  # an id may have ten times as much: for one of them not every line is made so wide


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[Text | str]]) -> Iterator[Text]:
    """Write rows below their heads; a column in which nobody has anything is left out.

    What stands in a cell is never cut: an id is there to be copied.
    """
    cells = [[_cell(cell) for cell in row] for row in rows]
    shown = [column for column in range(len(heads)) if any(row[column] for row in cells)]
    head = [Text(text, style="dim") for text in heads]
    table = [head, *cells] if cells else []
    widths = {column: _width(row[column].cell_len for row in table) for column in shown}
    for row in table:
        line = Text()
        for column in shown:
            line.append_text(row[column])
            if column != shown[-1]:
                line.append(" " * max(0, widths[column] - row[column].cell_len) + GAP)
        line.rstrip()
        yield line


def _width(lengths: Iterable[int]) -> int:
    return max(length for length in lengths if length <= WIDTH_MAX)


def _cell(cell: Text | str) -> Text:
    return Text(plain(cell)) if isinstance(cell, str) else cell.copy()
