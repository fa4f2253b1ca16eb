from tunewise.data.splitting.units import clusters


def groups(names: str, documents: str = "") -> list[str | None]:
    rows = range(len(names))
    wanted = [letter.strip() for letter in documents or " " * len(names)]
    return clusters(names, wanted, rows).groups(rows)


def test_rows_of_one_unit_of_the_split_are_one_unit() -> None:
    assert groups("abcbd") == [None, "1", None, "1", None]


def test_rows_of_one_document_are_one_unit() -> None:
    assert groups("abcdefghijklm", "xx  xyy      ") == [
        "0", "0", None, None, "0", "5", "5", *[None] * 6
    ]  # fmt: skip


def test_documents_that_a_unit_connects_are_one_unit() -> None:
    assert groups("abacdefghijklm", "xxy y         ")[:5] == ["0", "0", "0", None, "0"]


def test_only_rows_of_the_side_count() -> None:
    found = clusters("aabb", [""] * 4, [0, 2, 3])
    assert found.groups(range(4)) == [None, None, "2", "2"]


def test_documents_too_few_for_an_interval_are_taken_as_given() -> None:
    documents = ["x", "y"] * 15
    found = clusters([str(row) for row in range(30)], documents, range(30))
    assert (found.of, found.few_documents) == ({}, 2)
    enough = clusters(
        [str(row) for row in range(30)], [str(row % 10) for row in range(30)], range(30)
    )
    assert (len(enough.of), enough.few_documents) == (30, 0)


def test_documents_join_units_that_are_too_few_by_themselves() -> None:
    found = clusters([str(row % 9) for row in range(30)], ["x"] * 30, range(30))
    assert (len(set(found.of.values())), found.few_documents) == (1, 0)
