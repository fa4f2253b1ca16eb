from collections.abc import Sequence

from tunewise.data.splitting.label_balance import balance_notes
from tunewise.types import Example, Message, Splits


def rows(targets: Sequence[str]) -> tuple[Example, ...]:
    turn = Message(role="user", content="hello")
    return tuple(
        Example(id=str(n), messages=(turn,), target=target) for n, target in enumerate(targets)
    )


def notes(train: str, dev: str, test: str) -> tuple[str, ...]:
    splits = Splits(train=rows(train), dev=rows(dev), test=rows(test), seed=0, fingerprint="")
    return balance_notes(splits)


def test_each_labels_share_is_shown_per_side_the_most_frequent_first() -> None:
    assert notes("aaab", "ab", "abbb") == (
        "Labels in train / dev / test: a 75% / 50% / 25%, b 25% / 50% / 75%.",
    )


def test_of_many_labels_only_the_most_uneven_is_shown() -> None:
    many = "abcdefghij"
    assert notes(many * 2, many, f"{many}ccccc") == (
        "10 labels; the one whose share differs most between train and test is "
        "c 10% / 10% / 40% of train / dev / test.",
    )


def test_a_label_that_train_lacks_is_told_with_its_test_rows() -> None:
    assert notes("aab", "ab", "abxxx")[1] == (
        'Label "x" is in test (3 rows) but not in train, so nobody can learn it. '
        "Add rows of it, or correct it if mistyped."
    )


def test_labels_that_dev_lacks_are_told() -> None:
    assert notes("aabc", "a", "abc")[1] == (
        'Labels "b", "c" are not in dev, so settings are chosen without them. Add rows of them.'
    )


def test_a_long_list_is_cut() -> None:
    assert (
        'Labels "b", "c", "d", "e", "f" and 2 more are not in dev' in notes("abcdefgh", "a", "a")[1]
    )


def test_one_label_alone_is_no_balance() -> None:
    assert notes("aaa", "a", "aa") == ()


def test_spellings_of_a_label_are_one_label() -> None:
    splits = Splits(
        train=rows(["Yes", "No", "Yes"]), dev=rows(["yes", "no"]), test=rows(["NO.", "Yes"]),
        seed=0, fingerprint="",
    )  # fmt: skip
    assert balance_notes(splits) == (
        "Labels in train / dev / test: Yes 67% / 50% / 50%, No 33% / 50% / 50%.",
    )
