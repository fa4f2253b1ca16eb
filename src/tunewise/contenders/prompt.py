"""A tuned prompt: ways to word the instruction, the best of them chosen on dev.

The wordings come from the person's own instruction and from train.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tunewise.chat.prompts import Prompt, instructed, reworded
from tunewise.contenders.answering import FittedPrompt, PromptStrategy, answer_limit
from tunewise.contenders.optimiser import BUDGET_SHARE, Proposals, propose
from tunewise.contenders.race import Race
from tunewise.contenders.search import Candidate, search_and_fit
from tunewise.metrics.json_answers import parse_object
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.text.answer_text import asks_for_mark, marked_answer, split_thoughts
from tunewise.text.label_sets import how_to_answer, set_elements
from tunewise.text.labels import spelled_alike
from tunewise.text.words import count_words, is_unspaced, search_terms
from tunewise.types import Example, Input, JsonValue, Kind, Message

MARK = "Answer:"
THINKING_TOKENS = 120
"""Tokens granted for the steps before a marked answer."""
MAX_VALUES = 30
"""A field or label set with more values than this is not listed in a prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One wording."""

    name: str
    system: str
    """The system turn; empty: none but the row's own."""
    before: str = ""
    """Put before the last user turn."""
    after: str = ""
    """Put after the last user turn."""
    marked: bool = False
    """Whether the model was asked to put a mark before its answer; only then is one looked for, so
    that an answer which says "Answer:" of its own accord is read as it stands."""

    def messages(self, item: Input) -> tuple[Message, ...]:
        """The conversation in this wording."""

        def asked(text: str) -> str:
            return "\n\n".join(part for part in (self.before, text, self.after) if part)

        return reworded(instructed(self.system, item), asked)

    def read(self, text: str) -> str:
        """The answer within the model's text."""
        if not self.marked:
            return text.strip()
        answer = split_thoughts(text).answer
        return text.strip() if answer is None else marked_answer(answer)


@dataclass(frozen=True, kw_only=True)
class TunedPrompt:
    """Tries every wording on dev and keeps the best.

    Args:
        own: instructions of the person's own to try beside it.
        optimiser: a model that proposes further ones; None: there is none.
        optimiser_name: what the project calls it.
        seed: of the choice of rows that the optimiser is shown.
    """

    engine: Engine
    instruction: str
    kind: Kind
    labels: Sequence[str] | None
    own: Sequence[str]
    budget_tokens: int
    progress: Progress
    name: str = "prompt"
    optimiser: Engine | None = None
    optimiser_name: str = ""
    seed: int = 0

    def fit(self, train: Sequence[Example], race: Race) -> FittedPrompt:
        """Chooses the wording on dev by successive halving."""
        began = time.perf_counter()
        limit = answer_limit(self.engine, train)
        variants = variants_of(self.instruction, self.kind, self.labels, train)
        variants += [
            Variant(name=f"own {number}", system=text, marked=asks_for_mark(text))
            for number, text in enumerate(self.own, 1)
        ]
        proposals = self._proposals(train, race, limit)
        contender, told = self, dict[str, JsonValue]()
        if proposals is not None:
            variants += [
                Variant(name=f"proposed {number}", system=text)
                for number, text in enumerate(proposals.texts, 1)
            ]
            left = max(0, self.budget_tokens - proposals.total)
            contender = replace(self, budget_tokens=left)
            told = {"optimiser": self.optimiser_name, "proposed": len(proposals.texts)}
        fitted = search_and_fit(
            contender,
            [Candidate(value=v, settings={"variant": v.name}) for v in variants],
            lambda variant: in_words_of(variant, limit),
            race,
            what="wordings",
            settings=lambda best: {**_described(best.value), **told},
            began=began,
        )
        if proposals is None:
            return fitted
        tokens = {kind: count + proposals.tokens[kind] for kind, count in fitted.fit.tokens.items()}
        return replace(fitted, fit=replace(fitted.fit, tokens=tokens))

    def _proposals(self, train: Sequence[Example], race: Race, limit: int) -> Proposals | None:
        """What an optimiser proposes; None where there is no optimiser."""
        if self.optimiser is None:
            return None
        found = propose(
            optimiser=self.optimiser,
            engine=self.engine,
            contender=self.name,
            instruction=self.instruction,
            strategy=lambda text: in_words_of(Variant(name="proposed", system=text), limit),
            train=train,
            score=race.score,
            budget_tokens=int(BUDGET_SHARE * self.budget_tokens),
            seed=self.seed,
            progress=self.progress,
        )
        if found.fault:
            self.progress.note(f"{self.optimiser_name} proposes no more wordings: {found.fault}")
        return found


def in_words_of(variant: Variant, max_tokens: int) -> PromptStrategy:
    """Asks in one wording.

    Args:
        variant: the wording.
        max_tokens: tokens of an answer; steps before it come on top.
    """

    def prompts(inputs: Sequence[Input]) -> list[Prompt]:
        return [Prompt(messages=variant.messages(item), tools=item.tools) for item in inputs]

    tokens = max_tokens + (THINKING_TOKENS if variant.marked else 0)
    return PromptStrategy(prompts=prompts, max_tokens=tokens, read=variant.read)


def _described(best: Variant) -> dict[str, JsonValue]:
    settings: dict[str, JsonValue] = {"variant": best.name, "system": best.system}
    settings |= {
        key: text for key, text in (("before", best.before), ("after", best.after)) if text
    }
    return settings | ({"marked": True} if best.marked else {})


def variant_of(settings: Mapping[str, JsonValue]) -> Variant:
    """The wording that the settings of a run's fit describe."""
    name = str(settings["variant"])
    return Variant(
        name=name,
        system=str(settings.get("system", "")),
        before=str(settings.get("before", "")),
        after=str(settings.get("after", "")),
        # Runs before this was written down had one wording of ours that asks for a mark.
        marked=bool(settings.get("marked", name == "step by step")),
    )


def variants_of(
    instruction: str, kind: Kind, labels: Sequence[str] | None, train: Sequence[Example]
) -> list[Variant]:
    """Nine wordings of an instruction, the person's own first."""
    contract, values, defined = _contract(kind, train), *_values(kind, labels, train)

    def lines(*parts: str) -> str:
        return "\n".join(part for part in parts if part)

    return [
        Variant(name="own words", system=instruction),
        Variant(
            name="role",
            system=lines("You are an expert who does this task with great care.", instruction),
        ),
        Variant(name="format contract", system=lines(instruction, contract)),
        Variant(name="values listed", system=lines(instruction, values)),
        Variant(name="values defined", system=lines(instruction, defined)),
        Variant(name="constraints first", system=lines(contract, values, instruction)),
        Variant(name="constraints last", system=instruction, after=lines(values, contract)),
        Variant(name="in the user turn", system="", before=lines(instruction, contract)),
        Variant(
            name="step by step",
            system=lines(
                instruction,
                values,
                f'Think step by step, briefly. Then write "{MARK}" and after it the answer alone.',
            ),
            marked=True,
        ),
    ]


def _contract(kind: Kind, train: Sequence[Example]) -> str:
    match kind:
        case "classification":
            return "Answer with the label only, spelt exactly as given."
        case "multilabel":
            return how_to_answer([example.target for example in train])
        case "extraction":
            keys = Counter(key for row in _objects(train) for key in row)
            named = ", ".join(f'"{key}"' for key, _ in keys.most_common(12))
            return f"Answer with one JSON object with the keys {named} and nothing else."
        case "qa":
            return f"Answer in about {_words(train)} words, with no introduction."
        case "generation" | "search":
            return f"Write the answer only, in about {_words(train)} words."


def _values(kind: Kind, labels: Sequence[str] | None, train: Sequence[Example]) -> tuple[str, str]:
    """The answers that are possible: listed, and with what distinguishes their inputs in train."""
    if kind == "classification":
        right = spelled_alike((example.target for example in train), labels or ())
        known = list(labels or dict.fromkeys(right.values()))
        listed = f"The labels are: {', '.join(known)}." if len(known) <= 4 * MAX_VALUES else ""
        rows = [(example.input.text, right[example.target]) for example in train]
        return listed, _definitions("The labels are:", rows, known)
    if kind == "multilabel":
        sets = [(e.input.text, set_elements(e.target, tuple(labels or ()))) for e in train]
        right = spelled_alike((one for _, elements in sets for one in elements), labels or ())
        known = list(labels or dict.fromkeys(right.values()))
        listed = f"The labels are: {', '.join(known)}." if len(known) <= 4 * MAX_VALUES else ""
        rows = [(text, right[one]) for text, elements in sets for one in elements]
        return listed, _definitions("The labels are:", rows, known)
    if kind == "extraction":
        fields: dict[str, Counter[str]] = {}
        for row in _objects(train):
            for key, value in row.items():
                fields.setdefault(key, Counter())[json.dumps(value, ensure_ascii=False)] += 1
        closed = {k: c for k, c in fields.items() if len(c) <= min(MAX_VALUES, len(train) // 3)}
        listed = "\n".join(
            f"{key}: {' or '.join(value for value, _ in counts.most_common())}"
            for key, counts in closed.items()
        )
        if not closed:
            return "", _typical(train)
        first = next(iter(closed))
        rows = [
            (example.input.text, str(row[first]))
            for example in train
            if (row := parse_object(example.target)) and first in row
        ]
        known = [str(json.loads(value)) for value, _ in closed[first].most_common()]
        return listed, listed + "\n" + _definitions(f"What {first} means:", rows, known)
    return _typical(train, 1), _typical(train, 3)


def _definitions(head: str, rows: Sequence[tuple[str, str]], labels: Sequence[str]) -> str:
    """One line a label: the five words that say most about it.

    Words are ranked by n^2 / N, where n inputs of the label and N inputs in all hold the word: how
    many inputs it tells of, times how surely. Words of a single input of the label are left out.
    """
    if len(labels) > MAX_VALUES:
        return ""
    used = {label: _word_counts([text for text, own in rows if own == label]) for label in labels}
    overall = _word_counts([text for text, _ in rows])
    described: list[str] = []
    for label in labels:
        share = {
            word: count * count / overall[word] for word, count in used[label].items() if count > 1
        }
        words = sorted(share, key=lambda word: (-share[word], word))[:5]
        described.append(f"{label}: {', '.join(words)}" if words else label)
    return "\n".join([head, *described])


def _word_counts(texts: Sequence[str]) -> Counter[str]:
    """In how many of the texts each word occurs."""
    return Counter(word for text in texts for word in set(search_terms(text)) if _tells(word))


def _tells(word: str) -> bool:
    """Whether a word is long enough to mean something alone: two signs where they are words."""
    signs = sum(sign.isalpha() for sign in word)
    short = is_unspaced(word) or "\uac00" <= word[0] <= "\ud7a3"
    return signs >= (2 if short else 3) and not any(sign.isdigit() or sign == "_" for sign in word)


def _typical(train: Sequence[Example], count: int = 2) -> str:
    by_length = sorted(train, key=lambda example: (len(example.target), example.id))
    places = [(2 * n + 1) * len(by_length) // (2 * count) for n in range(count)]
    shown = dict.fromkeys(by_length[place].target for place in places)
    return "\n".join(f"An answer may look like this: {target}" for target in shown)


def _words(train: Sequence[Example]) -> int:
    lengths = sorted(count_words(example.target) for example in train)
    return max(1, lengths[len(lengths) // 2])


def _objects(train: Sequence[Example]) -> list[Mapping[str, JsonValue]]:
    rows = [parse_object(example.target) for example in train]
    return [row for row in rows if row is not None]
