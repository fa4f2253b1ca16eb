import pytest

from scripted_rows import Counted, engine, race, row
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.rag import Library, Lookup, Rag, best_lookup
from tunewise.data.documents.read import Block, Document
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.retrieval.chunk import SIZES
from tunewise.types import Example, Message

WEIGHTS = {"tent": "3 kilos", "boot": "900 grams", "stove": "400 grams", "lamp": "80 grams"}


def library() -> Library:
    """A manual for each thing; what it weighs stands in a sentence of its own."""
    chatter = "The colours are many and all of them are bright. " * 4
    return Library(
        [
            Document(
                name=f"{thing}.md",
                title=f"The {thing}",
                blocks=(
                    Block(headings=("Looks",), kind="prose", text=chatter),
                    Block(headings=("Weight",), kind="prose", text=f"The {thing} weighs {weight}."),
                ),
            )
            for thing, weight in WEIGHTS.items()
        ],
        None,
    )


def questions(count: int, prefix: str = "q") -> list[Example]:
    things = list(WEIGHTS)
    return [
        row(
            f"{prefix}{n}",
            f"{prefix} {n}: how much does the {things[n % 4]} weigh?",
            WEIGHTS[things[n % 4]],
            document=f"{things[n % 4]}.md",
        )
        for n in range(count)
    ]


def reads(request: Request) -> str:
    """A model that finds the weight of the thing asked for in its prompt."""
    text = request.messages[-1].content
    thing = text.rsplit("how much does the ", 1)[1].split()[0]
    found = f"The {thing} weighs {WEIGHTS[thing]}." in text
    return WEIGHTS[thing] if found else "no idea"


def rag(told: ScriptedEngine, some: Library | None, progress: Counted | None = None) -> Rag:
    return Rag(
        engine=told,
        instruction="Answer from the manuals.",
        library=some,
        budget_tokens=10**9,
        progress=progress or Counted(),
    )


def test_it_does_not_apply_without_documents() -> None:
    with pytest.raises(NotApplicable, match="no documents given"):
        rag(engine(reads), None).fit(questions(12), race(questions(8, "dev")))


def test_what_the_passages_say_reaches_the_model_and_their_ids_stand_on_the_answer() -> None:
    told = engine(reads)
    fitted = rag(told, library()).fit(questions(12), race(questions(12, "dev")))
    answers = fitted.answer([e.input for e in questions(4, "test")], seed=0)
    assert [a.text for a in answers] == list(WEIGHTS.values())
    assert [a.passages[0].split("#")[0] for a in answers] == [f"{t}.md" for t in WEIGHTS]
    assert len(answers[0].passages) == fitted.fit.settings["k"]
    system, user = told.requests[-1].messages
    assert system == Message(role="system", content="Answer from the manuals.")
    assert user.content.startswith("The lamp")
    assert user.content.endswith("\n\nQuestion: test 3: how much does the lamp weigh?")


def test_sizes_and_numbers_of_passages_are_tried_and_the_choice_is_said() -> None:
    dev = questions(12, "dev")
    fit = rag(engine(reads), library()).fit(questions(12), race(dev)).fit
    assert [(t["chunk_words"], t["k"], t["search"]) for t in fit.trials] == [
        (words, k, "bm25") for words, k in SIZES
    ]
    chosen = {key: fit.settings[key] for key in ("chunk_words", "k", "search")}
    best = max(fit.trials, key=lambda trial: trial["dev"])
    assert {key: best[key] for key in chosen} == chosen
    assert fit.dev_answers == {0: tuple(row.target for row in dev)}


def test_recall_is_told_over_the_rows_that_name_their_document() -> None:
    train = [*questions(12), row("x", "how much does the tent weigh?", "3 kilos")]
    fit = rag(engine(reads), library()).fit(train, race(questions(8, "dev"))).fit
    assert fit.settings["retrieval"] == {"recall_at_k": 1.0, "k": fit.settings["k"], "n": 20}


def test_recall_is_left_out_where_no_row_names_a_document() -> None:
    train = [row(e.id, e.input.text, e.target) for e in questions(12)]
    assert rag(engine(reads), library()).fit(train, race(train[:4])).fit.settings["retrieval"] == {}


def test_recall_counts_the_document_among_the_k_passages_shown() -> None:
    two_right = [
        row("1", "what does the tent weigh?", "", document="tent.md"),
        row("2", "what does the lamp weigh?", "", document="lamp.md"),
        row("3", "what does the lamp weigh?", "", document="boot.md"),
    ]
    found = library().recall(Lookup(words=60, k=1, mode="bm25"), two_right)
    assert found == {"recall_at_k": pytest.approx(2 / 3), "k": 1, "n": 3}


def test_an_input_that_finds_nothing_is_asked_as_it_is() -> None:
    (prompt,) = library().prompts(
        Lookup(words=60, k=2, mode="bm25"), "", [row("1", "xyzzy", "").input]
    )
    assert prompt.messages == (Message(role="user", content="xyzzy"),)
    assert prompt.passages == ()


def test_the_look_up_for_training_holds_the_answers_in_few_words() -> None:
    best = best_lookup(library(), questions(12), most_words=240)
    share = library().answer_share(best, questions(12))
    options = [Lookup(words=w, k=k, mode="bm25") for w, k in SIZES if w * k <= 240]
    shares = [library().answer_share(one, questions(12)) for one in options]
    assert best.words * best.k <= 240
    assert share >= max(shares) - 0.01
    assert options.index(best) == next(n for n, s in enumerate(shares) if s >= max(shares) - 0.01)


def test_the_share_of_an_answer_found_is_that_of_its_words() -> None:
    lookup = Lookup(words=60, k=1, mode="bm25")
    half = [row("1", "how much does the tent weigh?", "3 pounds")]
    assert library().answer_share(lookup, half) == 0.5


def test_progress_counts_exactly_what_is_asked() -> None:
    progress, told = Counted(), engine(reads)
    rag(told, library(), progress).fit(questions(12), race(questions(30, "dev")))
    assert progress.totals == progress.done == [len(told.requests)]
