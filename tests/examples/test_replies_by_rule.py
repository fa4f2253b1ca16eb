import importlib.util
import itertools
import json
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from tunewise.metrics.by_name import metric_named

FOLDER = Path(__file__).parents[2] / "examples" / "replies_by_rule"
ROWS = [json.loads(line) for line in (FOLDER / "examples.jsonl").read_text("utf-8").splitlines()]

ENGLISH = (
    "Hello Jo, a splinted stork is not what the Kestrel 2 should look like. Your case is T-5520. "
    "Which section broke, the one by the hub or one nearer the foot?"
)
GERMAN = (
    "Guten Tag Jonas, Seife und Kerze waren gute Ideen. Wir haben das klemmende Fußende unter "
    "T-41127 notiert. Klemmt der Schieber am Stoff oder an den Zähnen?"
)
FRENCH = (
    "Bonjour Amadou, « en cours » ne suffit pas comme réponse, vous avez raison. C'est l'objet du "
    "T-54545. Aviez-vous payé par carte ou avec un bon ?"
)
NAMELESS = (
    "Hello there, two left boots are one too many, and we are sorry. The mix-up is noted under "
    "T-00731. What number is printed under the tongue of each boot?"
)


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replies_by_rule_metric", FOLDER / "metric.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


M = load()


def broken(answer: str, target: str) -> list[str]:
    """The rules that an answer breaks."""
    return [name for name, kept in M.parts(answer, target).items() if not kept]


def test_every_reference_keeps_all_six_rules() -> None:
    kept = {row["id"]: broken(row["output"], row["output"]) for row in ROWS}
    assert {number: rules for number, rules in kept.items() if rules} == {}


def test_language_ticket_and_name_of_every_reference_come_from_its_input() -> None:
    for row in ROWS:
        output = row["output"]
        assert M.language_of(output) == row["language"], row["id"]
        assert M.TICKET.findall(output)[0] in row["input"], row["id"]
        name = M.greeting_of(output).removeprefix(M.GREETING[row["language"]]).strip(" ,")
        assert name == "there" or name in row["input"], row["id"]


def test_there_are_enough_rows_and_no_input_stands_twice() -> None:
    assert len(ROWS) >= 240
    assert len({row["input"] for row in ROWS}) == len({row["id"] for row in ROWS}) == len(ROWS)
    assert len({row["output"] for row in ROWS}) == len(ROWS)
    languages = Counter(row["language"] for row in ROWS)
    assert set(languages) == set(M.LANGUAGES)
    assert min(languages.values()) >= 15
    nameless = [r for r in ROWS if r["output"].startswith(tuple(M.FALLBACK.values()))]
    assert len(nameless) >= 15


def test_a_reply_to_one_ticket_is_right_for_no_other() -> None:
    replies = [row["output"] for row in ROWS]
    assert not any(M.keeps_all(one, other) for one, other in itertools.pairwise(replies))


def test_the_metric_is_binary_and_each_rule_is_one_as_well() -> None:
    whole = metric_named("metric:keeps_all", folder=FOLDER)
    assert whole.binary
    assert whole.score(ENGLISH, ENGLISH).value == 1
    for rule in M.RULES.values():
        alone = metric_named(f"metric:{rule.__name__}", folder=FOLDER)
        assert alone.binary
        assert alone.score(ENGLISH, ENGLISH).value == 1


@pytest.mark.parametrize(
    ("answer", "target", "rule"),
    [
        ("Hello Jo, case T-5520. Which of the sections broke?", ENGLISH, "length"),
        (ENGLISH.replace("Your case", "word " * 40 + "Your case"), ENGLISH, "length"),
        (ENGLISH.replace("Hello Jo,", "Hello Joe,"), ENGLISH, "greeting"),
        (ENGLISH.replace("Hello Jo,", "Hi Jo,"), ENGLISH, "greeting"),
        (ENGLISH.replace("Hello Jo,", "Hello there,"), ENGLISH, "greeting"),
        (NAMELESS.replace("Hello there,", "Hello HP-31877,"), NAMELESS, "greeting"),
        (NAMELESS.replace("Hello there,", "Hello,"), NAMELESS, "greeting"),
        (GERMAN.replace("Guten Tag Jonas,", "Guten Tag,"), GERMAN, "greeting"),
        (ENGLISH.replace("T-5520", "T-5502"), ENGLISH, "ticket"),
        (ENGLISH.replace("T-5520", "T 5520"), ENGLISH, "ticket"),
        (ENGLISH.replace("T-5520", "T-55201"), ENGLISH, "ticket"),
        (ENGLISH.replace("T-5520", "T-5520-B"), ENGLISH, "ticket"),
        (ENGLISH.replace("T-5520", "T-5520, formerly T-5519"), ENGLISH, "ticket"),
        (ENGLISH.replace("foot?", "foot."), ENGLISH, "one question"),
        (ENGLISH + " Are you all right?", ENGLISH, "one question"),
        (ENGLISH.replace("foot?", "foot. Right?"), ENGLISH, "one question"),
        (FRENCH.replace("un bon ?", "un bon ??"), FRENCH, "one question"),
    ],
)
def test_one_broken_rule_is_named_and_breaks_the_whole(answer: str, target: str, rule: str) -> None:
    assert broken(answer, target) == [rule]
    assert not M.keeps_all(answer, target)


@pytest.mark.parametrize(
    ("sentence", "target"),
    [
        ("We will look at it.", ENGLISH),
        ("We’ll look at it.", ENGLISH),
        ("It won't be long.", ENGLISH),
        ("We can replace it.", ENGLISH),
        ("We are sending a new one.", ENGLISH),
        ("The refund has been paid.", ENGLISH),
        ("You get your money back.", ENGLISH),
        ("A new pole is on its way.", ENGLISH),
        ("It is free of charge.", ENGLISH),
        ("We are closed on Monday.", ENGLISH),
        ("Please be patient until May.", ENGLISH),
        ("It takes three working days.", ENGLISH),
        ("The desk opens at 9:30.", ENGLISH),
        ("The tour is on 12.06.2026.", ENGLISH),
        ("Es wird geprüft.", GERMAN),
        ("Wir erstatten den Betrag.", GERMAN),
        ("Gern schicken wir ein neues.", GERMAN),
        ("Das Geld ist überwiesen.", GERMAN),
        ("Sie bekommen ein neues.", GERMAN),
        ("Es ist schon unterwegs.", GERMAN),
        ("Bis morgen ist Zeit.", GERMAN),
        ("Das dauert zwei Wochen.", GERMAN),
        ("Wir sind ab 9 Uhr da.", GERMAN),
        ("Nous vous rembourserons.", FRENCH),
        ("Ce sera fait.", FRENCH),
        ("Nous allons le changer.", FRENCH),
        ("Nous vous envoyons une pièce.", FRENCH),
        ("Le montant est remboursé.", FRENCH),
        ("Vous recevez un bon.", FRENCH),
        ("Le colis est en route.", FRENCH),
        ("Il part demain.", FRENCH),
        ("Cela prend deux semaines.", FRENCH),
    ],
)
def test_a_promise_or_a_time_breaks_the_reply(sentence: str, target: str) -> None:
    head, _, rest = target.partition(". ")
    assert broken(f"{head}. {sentence} {rest}", target) == ["no promise"]


@pytest.mark.parametrize(
    ("sentence", "target"),
    [
        ("Your question about the refund is noted.", ENGLISH),
        ("The warranty leaflet may say more.", ENGLISH),
        ("That was a long march.", ENGLISH),
        ("Our workshop repairs such zips.", ENGLISH),
        ("Ihre Frage zur Garantie ist notiert.", GERMAN),
        ("Der Wert des Zeltes ist notiert.", GERMAN),
        ("La garantie de la veste est claire.", FRENCH),
        ("Ce que vous désirez est bien noté.", FRENCH),
        ("Vous pourriez ouvrir la valve.", FRENCH),
    ],
)
def test_what_promises_nothing_is_allowed(sentence: str, target: str) -> None:
    head, _, rest = target.partition(". ")
    assert broken(f"{head}. {sentence} {rest}", target) == []


def test_a_customer_called_may_is_no_date() -> None:
    target = ENGLISH.replace("Hello Jo,", "Hello Mr May,")
    assert broken(target, target) == []


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        # The right greeting and ticket, all else in another language.
        (GERMAN.replace("Guten Tag Jonas", "Hello Jo").replace("T-41127", "T-5520"), ENGLISH),
        (ENGLISH.replace("Hello Jo", "Guten Tag Jonas").replace("T-5520", "T-41127"), GERMAN),
        (ENGLISH.replace("Hello Jo", "Bonjour Amadou").replace("T-5520", "T-54545"), FRENCH),
        # One sentence of another language.
        (GERMAN.replace("Klemmt der", "This is what we have to know. Klemmt der"), GERMAN),
        (ENGLISH.replace("Which", "Das ist für uns nicht ganz klar. Which"), ENGLISH),
        (FRENCH.replace("Aviez", "We are sorry to hear about that. Aviez"), FRENCH),
        # Names of things are no language.
        (
            "Hello Jo, Kestrel 2, Marlow 4, Drift, Gale, Lumen, Tarn 65, Wren 22, Cloud, Ember, "
            "Otter, Brook, T-5520. Kestrel or Marlow or Drift?",
            ENGLISH,
        ),
    ],
)
def test_another_language_breaks_the_reply(answer: str, target: str) -> None:
    assert broken(answer, target) == ["language"]


@pytest.mark.parametrize(
    ("sentence", "target"),
    [
        ("Die Pike und der Wren 22 liegen hier, der Cloud auch.", GERMAN),
        ("Your note says « fragile » and our Frau Ott read it.", ENGLISH),
        ("Le Kestrel 2 et la Marlow 4 sont bien là.", FRENCH),
        ("So was hat man in der Hand, am Hang und an Bord.", GERMAN),
    ],
)
def test_names_and_words_of_two_languages_do_not_make_a_reply_foreign(
    sentence: str, target: str
) -> None:
    head, _, rest = target.partition(". ")
    assert broken(f"{head}. {sentence} {rest}", target) == []


def test_no_stop_word_belongs_to_two_languages() -> None:
    for one, other in itertools.combinations(M.LANGUAGES, 2):
        assert M.STOP_WORDS[one] & M.STOP_WORDS[other] == set()


def test_curly_quotes_narrow_blanks_and_decomposed_letters_change_nothing() -> None:
    typed = FRENCH.replace("'", "’").replace(" ?", "\u202f?").replace("é", "e\u0301")
    assert broken(typed, FRENCH) == []
