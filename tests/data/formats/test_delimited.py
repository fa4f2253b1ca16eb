"""What spreadsheets and exports write around a table: each is read as the bare table is."""

from pathlib import Path

import pytest

from data_files import Write, content, faults
from places import ROOT
from tunewise.data.read import read_examples
from tunewise.project.settings import Data

HEADER = "text;label"
BELOW = ["My tent leaks;defect", '"Where is it?\nIt was due; on Friday";delivery', "Thanks!;other"]
BARE = "\n".join([HEADER, *BELOW, ""])
WANTED = [
    ("My tent leaks", "defect"), ("Where is it?\nIt was due; on Friday", "delivery"),
    ("Thanks!", "other"),
]  # fmt: skip
CASES = ROOT.parent / "shared" / "cases"


def read(path: Path) -> tuple[list[tuple[str, str]], list[int], list[str]]:
    """Rows, the lines they begin on, and notes without the file's name."""
    result = read_examples(path)
    lines = [int(result.places[row.id].rpartition(":")[2]) for row in result.examples]
    notes = [note.removeprefix(str(path)).lstrip(": ") for note in result.notes]
    return content(result.examples), lines, notes


def padded(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


SEPARATORS = {
    "a semicolon": ("sep=;\n", ";", "sep=;"),
    "a comma": ("sep=,\n", ",", "sep=,"),
    "a tab as it is": ("sep=\t\n", "\t", "sep="),
    "a tab in words": ("sep=\\t\n", "\t", r"sep=\t"),
    "a bar": ("sep=|\n", "|", "sep=|"),
    "in quotes": ('"sep=;"\n', ";", '"sep=;"'),
    "in capitals": ("SEP=;\n", ";", "SEP=;"),
    "with empty cells behind it": ("sep=;;;\n", ";", "sep=;;;"),
    "with nothing": ("sep=\n", ";", "sep="),
    "below empty lines": ("\n\nsep=;\n", ";", "sep=;"),
    "with an empty line below it": ("sep=;\n\n", ";", "sep=;"),
}


@pytest.mark.parametrize(("line", "mark", "shown"), SEPARATORS.values(), ids=SEPARATORS.keys())
def test_a_line_that_says_how_columns_are_separated_decides_and_is_no_header(
    write: Write, line: str, mark: str, shown: str
) -> None:
    table = '"text";"label"\n"a;b,c|d\te";"x"\n"f";"y"\n'.replace('";"', f'"{mark}"')
    rows, lines, notes = read(write(line + table, "a.csv"))
    assert rows == [("a;b,c|d\te", "x"), ("f", "y")]
    above = line.count("\n")
    assert lines == [above + 2, above + 3]
    assert [note for note in notes if f"only says how columns are separated ({shown})" in note]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_it_does_so_in_every_encoding_and_with_every_line_end(
    write: Write, end: str, encoding: str
) -> None:
    raw = f"sep=;\n{BARE}".replace("\n", end).encode(encoding)
    rows, lines, _ = read(write(raw, "a.csv"))
    assert [(text.replace(end, "\n"), label) for text, label in rows] == WANTED
    assert lines == [3, 4, 6]


def test_a_line_that_says_it_wrongly_is_not_believed(write: Write) -> None:
    rows, lines, notes = read(write(f"sep=,\n{BARE}", "a.csv"))
    assert (rows, lines) == (WANTED, [3, 4, 6])
    assert "columns are separated by ';' all the same; read as such." in notes


ABOVE = {
    "a title": ("Tickets of last May\n", ["line 1 stands above the header"]),
    "a title and an empty line": ("Tickets\n\n", ["lines 1 to 2 stand above the header"]),
    "a title with a comma": ("Tickets, all of them\n\n", ["lines 1 to 2 stand above the"]),
    "a title with empty cells behind it": ("Tickets;\n", ["line 1 stands above the header"]),
    "remarks": ("# by the help desk, 3 May\n#\n# all of them\n", ["lines 1 to 3 stand"]),
    "sep and a title": ("sep=;\nTickets of May\n", ["line 1 only says", "line 2 stands above"]),
    "an empty line": ("\n", []),
    "a line of empty cells": (";;\n", []),
}


@pytest.mark.parametrize(("above", "noted"), ABOVE.values(), ids=ABOVE.keys())
def test_what_stands_above_the_header_is_passed_over_and_said(
    write: Write, above: str, noted: list[str]
) -> None:
    rows, lines, notes = read(write(above + BARE, "a.csv"))
    first = above.count("\n") + 2
    assert (rows, lines) == (WANTED, [first, first + 1, first + 3])
    assert all(any(note.startswith(start) for note in notes) for start in noted)


def test_names_and_values_above_the_header_are_passed_over(write: Write) -> None:
    raw = "Report:,Tickets\nFrom:,1 May\nid,text,label\n1,it leaks,A\n2,it tears,B\n"
    rows, lines, notes = read(write(raw, "a.csv"))
    assert (rows, lines) == ([("it leaks", "A"), ("it tears", "B")], [4, 5])
    assert 'lines 1 to 3 stand above the header ("Report:,Tickets"); passed over.' not in notes
    assert 'lines 1 to 2 stand above the header ("Report:,Tickets"); passed over.' in notes


@pytest.mark.parametrize("header", ["#,text,label", "#id,text,label"])
def test_a_header_that_begins_with_a_hash_is_one(write: Write, header: str) -> None:
    rows, _, _ = read(write(f"{header}\na,it leaks,A\nb,it tears,B\nc,it rips,C\n", "a.csv"))
    assert rows == [("it leaks", "A"), ("it tears", "B"), ("it rips", "C")]


def test_a_header_whose_columns_every_row_has_is_no_title(write: Write) -> None:
    rows, _, notes = read(write("input,output\n;<,;<\n;,;\n;a,;\n", "a.csv"))
    assert rows == [(";<", ";<"), (";", ";"), (";a", ";")]
    assert notes == ["rows read as input -> output."]


WITHIN = {
    "the header again": (BARE + HEADER + "\n", "6: repeats the header; passed over."),
    "two exports in one file": (
        f"sep=;\n{BARE}sep=;\n{HEADER}\n", "7: only says how columns are separated; passed over."
    ),
    "a row of empty cells": (BARE + ";\n", "6: has nothing but empty cells; passed over."),
    "a remark": (BARE + "# the end\n", "6: is a remark behind a #; passed over."),
    "a count of rows": (BARE + "\n(3 rows affected)\n", "7: only says how many rows there are;"),
    "cells behind the last column": (
        padded("text;label", *[f"{row};" for row in BELOW]),
        "2: ends in empty cells that have no column; passed over. The same in 2 more rows.",
    ),
    "columns without names": (
        padded("text;label;;", *[f"{row};;" for row in BELOW]),
        "columns without a name were passed over; their cells are empty.",
    ),
    "a line of totals": (
        padded("text;label;n", *[f"{row};1" for row in BELOW], "Total:;;3"),
        "6: is a line of totals below the table; passed over.",
    ),
    "a line of totals in every column": (
        BARE + ";\nGesamt:;3\n", "7: is a line of totals below the table; passed over."
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "noted"), WITHIN.values(), ids=WITHIN.keys())
def test_what_is_no_row_of_the_table_is_passed_over_and_said(
    write: Write, raw: str, noted: str
) -> None:
    rows, _, notes = read(write(raw, "a.csv"))
    assert rows == WANTED
    assert any(note.startswith(noted) for note in notes), notes


def test_an_index_that_pandas_writes_without_a_name_gets_one(write: Write) -> None:
    path = write(",text,label\n0,it leaks,A\n1,it tears,B\n", "a.csv")
    rows, _, notes = read(path)
    assert rows == [("it leaks", "A"), ("it tears", "B")]
    assert read_examples(path).examples[1].metadata == {"index": "1"}
    assert any(note.startswith("the first column has no name") for note in notes)


def test_a_total_in_the_middle_or_with_words_beside_it_is_a_row(write: Write) -> None:
    raw = "text;label;n\nTotal;;3\nok;A;1\n"
    assert faults(write(raw, "a.csv"))[0].startswith("2: label is empty.")
    rows, _, notes = read(write("text;label\nok;1\nTotal;2\n", "a.csv"))
    assert rows == [("ok", "1"), ("Total", "2")]
    assert "3: looks like a line of totals. Remove it if it is one." in notes
    rows, _, _ = read(write("text;label;n\nok;A;1\nTotal;loss;\n", "a.csv"))
    assert rows == [("ok", "A"), ("Total", "loss")]


def test_a_single_word_above_two_cells_a_line_may_be_the_only_column(write: Write) -> None:
    found = faults(write("text\na,b\nc,d\ne,f\n", "a.csv"))
    hint = "Check its quotes. If line 1 is a title, remove it: the header comes first."
    assert found[0] == f"2: has 2 cells, the header has 1. {hint}"


def test_the_mark_that_parts_all_lines_evenly_separates(write: Write) -> None:
    path = write('"text, raw";label;n,m\n"a, b, c";x;1\nd;y;2\n', "a.csv")
    result = read_examples(path, data=Data(input="text, raw", output="label"))
    assert content(result.examples) == [("a, b, c", "x"), ("d", "y")]


@pytest.mark.skipif(not CASES.exists(), reason="the folder with cases people met is not here")
@pytest.mark.parametrize(
    ("name", "columns"),
    [("comma.csv", ("text", "label")), ("tickets.csv", ("message", "category"))],
)
def test_the_tables_that_people_met_are_read_whole(name: str, columns: tuple[str, str]) -> None:
    data = Data(input=columns[0], output=columns[1])
    result = read_examples(CASES / "01-sep-line" / name, data)
    assert len(result.examples) == 14
    assert result.examples[0].target == "defect"
    assert result.examples[0].input.text.splitlines() == [
        "Moin,", "mein Zelt hat nach zwei Nächten ein Loch.", "Gruß, Jörn",
    ]  # fmt: skip
    assert result.places[result.examples[13].id].endswith(f"{name}:19")
