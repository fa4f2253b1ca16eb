"""Rows in another language: told of where that is sure, to users of the starter model alone."""

import pytest

from tunewise.data.language import foreign_language, language_note
from tunewise.project.settings import STARTER_MODEL

GERMAN = ["Ich habe die Miete nicht bezahlt, und der Vermieter will es mir auf dem Weg sagen."] * 20
FRENCH = ["Je ne veux pas de la lettre que le voisin a mis dans une boîte pour vous et moi."] * 20
ENGLISH = ["The tenant says that he did not get the letter, and we have to answer by Friday."] * 20
RUSSIAN = ["Сосед поставил забор на моей земле, что мне делать?"] * 20
JAPANESE = ["隣人が私の土地に柵を建てました。どうすればよいですか。"] * 20
CODES = ["HP-20771 / 4411 / RX200", "A1 B2 C3", "order_id=88"] * 60


@pytest.mark.parametrize(
    ("rows", "language"),
    [
        (GERMAN, "German"),
        (FRENCH, "French"),
        (RUSSIAN, "Cyrillic script"),
        (ENGLISH, None),
        (CODES, None),
        (GERMAN[:2], None),
        (ENGLISH + GERMAN[:3], None),
        ([], None),
    ],
)
def test_a_language_is_named_where_it_is_sure(rows: list[str], language: str | None) -> None:
    assert foreign_language(rows) == language


def test_a_script_of_its_own_is_enough() -> None:
    assert (foreign_language(JAPANESE) or "").endswith("script")


def test_the_starter_model_is_said_to_be_weak_there_and_others_are_not() -> None:
    (note,) = language_note(STARTER_MODEL, GERMAN)
    assert "look like German" in note
    assert "[model] base" in note
    assert language_note(STARTER_MODEL, ENGLISH) == ()
    assert language_note("Qwen/Qwen3-0.6B", GERMAN) == ()
