import pytest

from tunewise.text.rankings import is_meant, read_ranking, write_ranking


def test_what_was_written_is_read() -> None:
    names = ("stove.md#4. Lighting", 'mat.md#"Soft"', "zelt.md#Pflege & Wäsche")
    assert read_ranking(write_ranking(names)) == names


@pytest.mark.parametrize(
    "text", ['["a.md", "b.md"]', "a.md\nb.md\n", " a.md \n\n b.md", '["a.md", "b.md", "a.md", " "]']
)
def test_a_list_or_a_name_a_line_each_once(text: str) -> None:
    assert read_ranking(text) == ("a.md", "b.md")


def test_what_looks_alike_is_one_name() -> None:
    assert read_ranking("it’s.md\nit's.md") == ("it's.md",)


@pytest.mark.parametrize("text", ["", "  \n", "[]", '["", " "]'])
def test_there_may_be_none(text: str) -> None:
    assert read_ranking(text) == ()


@pytest.mark.parametrize("text", ['{"a.md": 1}', "[1, 2]", "[" * 100_000])
def test_other_json_is_a_name_like_any_text(text: str) -> None:
    assert read_ranking(text) == (text,)


@pytest.mark.parametrize(
    ("name", "wanted", "meant"),
    [
        ("manuals/stove.md", "stove.md", True),
        ("manuals/stove.md", "manuals/stove.md", True),
        ("manuals/stove.md", "ove.md", False),
        ("manuals/stove.md#Care", "stove.md", True),
        ("manuals/stove.md#Care", "stove.md#Care", True),
        ("manuals/stove.md#Care", "stove.md#Use", False),
        ("manuals/stove.md", "stove.md#Care", False),
        ("stove.md#Use #2", "stove.md#Use #2", True),
        ("stove.md#Care/Wash", "stove.md#Care/Wash", True),
    ],
)
def test_a_name_means_a_document_by_its_last_parts_or_a_section_of_it(
    name: str, wanted: str, meant: bool
) -> None:
    assert is_meant(name, wanted) is meant
