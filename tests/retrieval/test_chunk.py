from collections.abc import Sequence

import pytest

from tunewise.data.documents.read import Block, Document, markdown_blocks
from tunewise.retrieval.chunk import chunk, sentences


def document(markdown: str, name: str = "tent.md") -> Document:
    title, blocks = markdown_blocks(markdown)
    return Document(name=name, title=title, blocks=tuple(blocks))


def numbered(count: int, start: int = 0) -> str:
    """Sentences of five words each."""
    return " ".join(f"Sentence {n} has five words." for n in range(start, start + count))


def test_a_passage_stands_alone_with_its_title_and_headings() -> None:
    text = f"# Kestrel tent\n\n## Care\n\n### Washing\n\n{numbered(3)}"
    (passage,) = chunk([document(text)], words=60)
    assert passage.id == "tent.md#1"
    assert passage.document == "tent.md"
    assert passage.heading == "Care > Washing"
    assert passage.text == f"Kestrel tent > Care > Washing\n{numbered(3)}"


def test_long_sections_are_cut_between_sentences_and_at_headings() -> None:
    text = f"# T\n\n## A\n\n{numbered(5)}\n\n## B\n\n{numbered(5, 5)}"
    passages = chunk([document(text)], words=20)
    assert [passage.text for passage in passages] == [
        f"T > A\n{numbered(4)}",
        f"T > A\n{numbered(1, 4)}",
        f"T > B\n{numbered(4, 5)}",
        f"T > B\n{numbered(1, 9)}",
    ]
    assert [passage.id for passage in passages] == [f"tent.md#{n}" for n in (1, 2, 3, 4)]


def test_short_sections_that_follow_each_other_share_a_passage() -> None:
    text = "# T\n\n## Specs\n\n### Brand\n\nOutdoorLiving\n\n### Price\n\n250 dollars"
    (passage,) = chunk([document(text)], words=60)
    assert passage.heading == "Specs"
    assert passage.text == "T > Specs\nBrand\nOutdoorLiving\n\nPrice\n250 dollars"


def test_a_list_or_table_that_fits_is_not_cut() -> None:
    items = "\n".join(f"- item {n} here" for n in range(4))
    text = f"# T\n\n{numbered(3)}\n\n{items}"
    first, second = chunk([document(text)], words=20)
    assert first.text == f"T\n{numbered(3)}"
    assert second.text == f"T\n{items}"


def test_a_long_table_is_cut_between_rows_and_keeps_its_header() -> None:
    rows = [f"| row {n} | {n} |" for n in range(6)]
    table = "\n".join(["| Name | Value |", "|---|---|", *rows])
    passages = chunk([document(f"# T\n\n{table}")], words=20)
    assert len(passages) == 6 // 2
    for number, passage in enumerate(passages):
        assert passage.text.splitlines() == [
            "T",
            "| Name | Value |",
            "|---|---|",
            *rows[2 * number : 2 * number + 2],
        ]


def table(names: Sequence[str], *rows: Sequence[str]) -> str:
    lines = [" | ".join(cells) for cells in (names, ["---"] * len(names), *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def test_a_row_that_does_not_fit_below_its_header_is_written_out() -> None:
    # docling-project/docling-core#535: passages of a wide table held a header and no value, or cut
    # rows without one.
    names = ["Tent", *(f"Value of column {number}" for number in range(8))]
    rows = [[f"T-{tent}", *(f"{tent}.{number}" for number in range(8))] for tent in range(3)]
    passages = chunk([document(f"# Wide\n\n{table(names, *rows)}")], words=20)
    written = [passage.text for passage in passages]
    assert written[0].splitlines()[1:] == [
        "Tent: T-0",
        "Value of column 0: 0.0",
        "Value of column 1: 0.1",
        "Value of column 2: 0.2",
    ]
    for tent in range(3):
        for number in range(8):
            wanted = f"Value of column {number}: {tent}.{number}"
            (holder,) = (text for text in written if wanted in text.splitlines())
            assert f"Tent: T-{tent}" in holder.splitlines()


def test_a_long_cell_names_its_row_in_every_piece() -> None:
    rows = [["P-1", " ".join(f"w{k}" for k in range(40))], ["P-2", "short"], ["P-3", "too"]]
    passages = chunk([document(f"# Parts\n\n{table(['Part', 'Note'], *rows)}")], words=20)
    *pieces, last = [passage.text.splitlines()[1:] for passage in passages]
    assert [lines[0] for lines in pieces] == ["Part: P-1"] * 3
    assert " ".join(lines[1] for lines in pieces).split()[1:] == rows[0][1].split()
    assert last == ["| Part | Note |", "| --- | --- |", "| P-2 | short |", "| P-3 | too |"]


def test_a_sentence_longer_than_a_passage_is_cut_between_words() -> None:
    words = " ".join(f"w{n}" for n in range(25))
    passages = chunk([document(words)], words=10)
    assert [len(passage.text.splitlines()[1].split()) for passage in passages] == [10, 10, 5]


@pytest.mark.parametrize("limit", [10, 17, 40, 200])
def test_no_word_is_lost_or_repeated_and_no_passage_is_too_long(limit: int) -> None:
    text = "\n\n".join(
        [
            numbered(7),
            "\n".join(f"- item {n} is one of many" for n in range(9)),
            "**Weight**: 2 kg  \n**Colour**: grey  \nA line\nthat wraps.",
            " ".join(f"w{n}" for n in range(60)),
        ]
    )
    passages = chunk([document(text)], words=limit)
    bodies = [passage.text.split("\n", 1)[1] for passage in passages]
    assert " ".join(bodies).split() == text.split()
    assert max(len(body.split()) for body in bodies) <= limit


def test_documents_are_numbered_on_their_own() -> None:
    passages = chunk([document("One.", "a.md"), document("Two.", "b.md")], words=60)
    assert [passage.id for passage in passages] == ["a.md#1", "b.md#1"]


def test_a_document_without_blocks_gives_no_passage() -> None:
    assert chunk([Document(name="a.md", title="A", blocks=())], words=60) == []


def test_specification_lines_stay_lines() -> None:
    block = Block(headings=(), kind="prose", text="**Weight**: 2 kg\n**Colour**: grey\nand blue")
    (passage,) = chunk([Document(name="a.md", title="A", blocks=(block,))], words=60)
    assert passage.text == "A\n**Weight**: 2 kg\n**Colour**: grey and blue"


def test_passages_of_a_few_words_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 words"):
        chunk([], words=5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It weighs 1.84 kg. Pack it.", ["It weighs 1.84 kg.", "Pack it."]),
        ("Use pegs, e.g. Y-pegs. Then rest.", ["Use pegs, e.g. Y-pegs.", "Then rest."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("See fig. 3 first. (Then go.) Done.", ["See fig. 3 first.", "(Then go.)", "Done."]),
        ("Öl prüfen. Über Nacht trocknen.", ["Öl prüfen.", "Über Nacht trocknen."]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_says_so(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_texts_without_spaces_are_cut_between_sentences_and_signs() -> None:
    assert sentences("返品は三十日以内です。「はい。」と答えます！次へ") == [
        "返品は三十日以内です。",
        "「はい。」",
        "と答えます！",
        "次へ",
    ]
    assert sentences("पहला वाक्य। दूसरा वाक्य।") == ["पहला वाक्य।", "दूसरा वाक्य।"]
    assert sentences("Первое предложение. Второе.") == ["Первое предложение.", "Второе."]
