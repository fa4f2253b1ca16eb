"""Turns what was found in a folder into the text of a commented tunewise.toml.

It reads no file. Everything that was guessed is marked so, with what else it might be.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import cast

from tunewise.data.checks.labels import FREQUENT, RARE, meant_label
from tunewise.pipelines.init.columns import (
    MIN_GROUPS,
    Column,
    ColumnChoice,
    Grouping,
    unfit_columns,
)
from tunewise.pipelines.init.discover import FoundData
from tunewise.pipelines.init.toml_text import entry, one_line, quoted, remark
from tunewise.project.infer_task import Inference
from tunewise.project.schema import SCHEMA_FILE
from tunewise.project.settings import DEFAULT_METRICS, KINDS, STARTER_MODEL
from tunewise.text.label_sets import how_to_answer
from tunewise.text.labels import spelled_alike
from tunewise.types import Example, Kind
from tunewise.wording import listed, plural, whole_percent

OLD_ENCODING = (
    "no UTF-8, but Windows-1252, as old spreadsheets write it. `tunewise check --fix OUT` writes a "
    "copy in UTF-8; name that here."
)
"""What to do about such a file."""
_MAX_LABELS = 60
_MAX_LABEL_CHARACTERS = 2_000
_MAX_LEFT_ASIDE = 10
_METRICS: dict[Kind, str] = {
    "classification": 'the share of right labels. Or "macro_f1": every label counts the same, '
    "however rare.",
    "multilabel": 'F1 over the labels of each answer, in any order. Or "exact_set": all labels or '
    "nothing.",
    "extraction": 'F1 over the fields of the object. Or "exact_match": all fields or nothing.',
    "qa": 'words shared with the right answer. Or "exact_match".',
    "search": 'how near the top the right documents stand. Or "recall_at_5".',
    "generation": 'the longest sequence shared with the right answer. Or "chrf", "token_f1".',
}

_CHRF = (
    "the runs of signs shared with the right answer, which suits every script. "
    'Or "exact_match", or "rouge_l" (words, in their order).'
)


def project_text(found: FoundData, inference: Inference, unjudged: Sequence[str] = ()) -> str:
    """The text of tunewise.toml.

    Args:
        found: what lies in the folder.
        inference: kind, labels and metric of its examples.
        unjudged: places of rows whose answer the metric cannot judge.
    """
    blocks = [
        [f"#:schema ./{SCHEMA_FILE}"],  # alone in its paragraph: some editors read it only there
        remark(
            "Written by `tunewise init` from what lies in this folder. Read it once: what was "
            "guessed says so. Keys that are not here keep their defaults."
        ),
        ["[task]", *_instruction(found, inference), *_task(found, inference, unjudged)],
        ["[data]", *_data(found)],
        [
            "[model]",
            *remark(
                "The smallest one, which needs no GPU and no download. Or the id of a model on "
                "the Hugging Face hub, a folder, or a GGUF file."
            ),
            entry("base", STARTER_MODEL),
        ],
        [
            "[contenders]",
            *remark("All of them take part. For a first look in minutes, take the # away:"),
            '# use = ["constant", "zero_shot", "few_shot", "classifier"]',
        ],
        [
            "[decision]",
            *remark("A smaller gain in quality is not worth a training to you."),
            "minimum_gain = 0.05",
            *remark("Quality that a winner must reach, and how many requests a month there are:"),
            "# minimum_quality  = 0.85",
            "# monthly_requests = 20000",
            *remark("What is measured beside may take half of the time. Without it:"),
            "# measure = []",
        ],
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _instruction(found: FoundData, inference: Inference) -> list[str]:
    if found.instruction:
        text, file = found.instruction
        holes = "{" in text and "}" in text
        return [
            *remark(
                f"What you would tell the model: the text of {file}.",
                "It holds braces; the input is put after it anyway, so remove placeholders."
                if holes
                else "",
            ),
            entry("instruction", text),
        ]
    if _instructed_by_rows(found):
        return [
            *remark("Each row brings its own instruction. What you write here is put before it."),
            '# instruction = "..."',
        ]
    return [
        *remark("EDIT THIS SENTENCE: what you would tell the model to do. This one is guessed."),
        entry("instruction", _guessed_instruction(found, inference)),
    ]


def _instructed_by_rows(found: FoundData) -> bool:
    instructed = sum(row.messages[0].role == "system" for row in found.examples if row.messages)
    return found.shape.startswith("Alpaca") or instructed > len(found.examples) / 2


def _guessed_instruction(found: FoundData, inference: Inference) -> str:
    task = inference.project.task
    asked = _noun(found.choice.input) if found.choice else "message"
    if task.kind == "classification" and task.labels:
        typos = _typos(found.examples)
        right = [one_line(label) for label in task.labels if label not in typos]
        if _listed(right):
            labels = ", ".join(right)
            return f"Read the {asked} and answer with one of these, and nothing else: {labels}."
        return f"Read the {asked} and answer with its label, and nothing else."
    if task.kind == "multilabel":
        how = how_to_answer([row.target for row in found.examples])
        labels = ", ".join(map(one_line, task.labels or ()))
        return f"Read the {asked}. {how}" + (
            f" The labels are: {labels}." if _listed(task.labels or ()) else ""
        )
    if task.kind == "extraction":
        fields = ", ".join(_fields(found.examples))
        return f"Read the {asked} and answer with one JSON object with the fields {fields}."
    if task.kind == "qa":
        source = " from the documents" if found.documents else ""
        return f"Answer the question in a few words{source}."
    if found.choice:
        return f"Write the {_noun(found.choice.output)} for the {asked}."
    return "Answer the last message as the examples do."


def _noun(column: Column) -> str:
    return one_line(column.name.replace("_", " ")).lower()


def _fields(examples: Sequence[Example]) -> list[str]:
    """The fields of the answers that are objects, the most frequent first."""
    counts: Counter[str] = Counter()
    for example in examples[:500]:
        try:
            answer: object = json.loads(example.target)
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict):
            counts.update(cast("dict[str, object]", answer).keys())
    return [name for name, _ in counts.most_common(30)]


def _task(found: FoundData, inference: Inference, unjudged: Sequence[str]) -> list[str]:
    task = inference.project.task
    kind = task.kind or "generation"
    why = inference.reason.partition(";")[0]
    others = [other for other in KINDS if other != kind]
    lines = [
        *remark(f"{why[:1].upper()}{why[1:]}.", f"Or: {', '.join(others)}."),
        entry("kind", kind),
    ]
    if kind == "multilabel" and task.labels and not found.more and _listed(task.labels):
        lines += [
            *remark("All that occur, in any order and number; any other is then an error."),
            entry("labels", list(task.labels)),
        ]
    if kind == "classification" and task.labels:
        lines += _labels(found, task.labels)
    usual = task.metric == DEFAULT_METRICS[kind]
    lines += remark(f"How answers are judged: {_METRICS[kind] if usual else _CHRF}")
    if unjudged:
        rows = plural(len(unjudged), "row")
        lines += remark(f"It cannot judge {rows}, which have to be mended: {listed(unjudged)}.")
    return [*lines, entry("metric", task.metric or "")]


def _labels(found: FoundData, labels: Sequence[str]) -> list[str]:
    typos = _typos(found.examples)
    right = [label for label in labels if label not in typos]
    if found.more or not _listed(right):
        return remark(f"{len(labels)} labels: those that occur, looked up at each run.")
    if not typos:
        several = len({row.target.strip() for row in found.examples}) > len(labels)
        return [
            *remark(
                "All that occur; any other answer is then an error.",
                "Some rows write them in another case or with a full stop: that is the same label."
                if several
                else "",
            ),
            entry("labels", right),
        ]
    meant = ", ".join(f"{quoted(label)} for {quoted(other)}" for label, other in typos.items())
    listed = entry("labels", right).replace("\n", "\n# ")
    return [
        *remark(f"Mistyped? {meant}. Correct it in the data, then take the # away:"),
        f"# {listed}",
    ]


def _typos(examples: Sequence[Example]) -> dict[str, str]:
    """Rare labels that seem to be mistyped -> what was meant."""
    right = spelled_alike(row.target.strip() for row in examples)
    counts = Counter(right[row.target.strip()] for row in examples)
    frequent = [label for label, n in counts.items() if n >= FREQUENT]
    found = {label: meant_label(label, frequent) for label, n in counts.items() if n <= RARE}
    return {label: meant for label, meant in found.items() if meant}


def _listed(labels: Sequence[str]) -> bool:
    return len(labels) <= _MAX_LABELS and sum(map(len, labels)) <= _MAX_LABEL_CHARACTERS


def _data(found: FoundData) -> list[str]:
    n = f"{'more than ' * found.more}{len(found.examples):,} rows"
    faults = f"{plural(found.faults, 'row')} cannot be read: `tunewise check` names them."
    encoding = f"{', '.join(found.old_encoding)}: {OLD_ENCODING}" if found.old_encoding else ""
    lines = remark(
        f"{n}, read as {found.shape}.",
        faults if found.faults else "",
        encoding,
        _split(found),
    )
    for part, sources in found.sources.items():
        lines.append(entry(part, sources[0] if len(sources) == 1 else sources))
    for source, shape in found.other_examples[:_MAX_LEFT_ASIDE]:
        lines += remark(f"Or {source}, read as {shape}.")
    if found.choice:
        lines += _columns(found.choice)
    lines += _groups(found)
    if found.documents:
        places = found.documents.places
        lines += remark(
            f"{found.documents.count:,} documents, which the contenders with retrieval search.",
            f"Or: {', '.join(found.documents.others)}." if found.documents.others else "",
        )
        lines.append(entry("documents", places[0] if len(places) == 1 else places))
    if found.not_taken:
        left = [f"{file}: {one_line(why)}" for file, why in found.not_taken]
        more = f"... and {len(left) - _MAX_LEFT_ASIDE} more." * (len(left) > _MAX_LEFT_ASIDE)
        lines += ["", *remark("Left aside:")]
        lines += [line for one in (*left[:_MAX_LEFT_ASIDE], more) if one for line in remark(one)]
    return lines


def _split(found: FoundData) -> str:
    if found.own_split:
        return "The split into train and test is yours, and is kept."
    return "They are split by hash into train, dev and a sealed test."


def _columns(choice: ColumnChoice) -> list[str]:
    return [
        *remark(
            f"Guessed: {choice.input.shown}"
            f"{', and named like an input' * choice.input.named_like_input}.",
            _or(choice.other_inputs),
        ),
        entry("input", choice.input.name),
        *remark(
            f"Guessed: {choice.output.shown}"
            f"{', and named like an answer' * choice.output.named_like_answer}.",
            _empty(choice.output),
            _or(choice.other_outputs),
            f"Neither: {unfit_columns(choice.unfit)}." if choice.unfit else "",
        ),
        entry("output", choice.output.name),
    ]


def _empty(column: Column) -> str:
    if column.filled == 1:
        return ""
    return (
        f"{whole_percent(1 - column.filled)} of the rows have none: fill them in, or let `tunewise "
        "check --fix OUT` leave them out."
    )


def _or(columns: Sequence[Column]) -> str:
    if not columns:
        return ""
    return "Or: " + ", ".join(f"{quoted(column.name)} ({column.shown})" for column in columns) + "."


def _groups(found: FoundData) -> list[str]:
    if not found.groups:
        return []
    first, *others = found.groups
    named = ", ".join(quoted(one.name) for one in others[:2])
    rest = f"Or: {named}." if named else ""
    seen = f"{first.groups:,} values over {first.rows:,} rows"
    if found.own_split:
        why = f"{seen}. With this line, `tunewise check` says which are in both train and test."
    elif not first.usable:
        why = (
            f"{seen}: fewer than {MIN_GROUPS} groups leave too few of them in test for any "
            "interval. With more rows, take the # away: rows of a group then stay on one side."
        )
    else:
        why = f"Guessed: {seen}. Rows of a group stay on one side of the split and count as one."
    active = first.usable and not found.own_split
    return [*remark(why, rest), ("" if active else "# ") + entry("group", _name(first))]


def _name(group: Grouping) -> str:
    return group.name
