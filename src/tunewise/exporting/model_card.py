"""Writes the card of a model: what it is, how good it was, what it cost and forgot.

The front matter is the hub's, so that a folder that is uploaded shows its base, its licence and its
result there.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from tunewise.project.contenders import BUILT_IN
from tunewise.runs.folder import RunFolder
from tunewise.runs.model_file import ModelFile
from tunewise.runs.schema import ContenderResult
from tunewise.storage import replaced_folder, write_text
from tunewise.wording import (
    count,
    mean_tokens,
    milliseconds,
    money,
    percent,
    percent_span,
    plural,
)

_TASKS = {
    "classification": "text-classification",
    "qa": "question-answering",
    "search": "sentence-similarity",
}
"""Kind of a task -> its name on the hub, where that is another than `text-generation`."""


def ship(model: ModelFile, adapter: Path, run: RunFolder) -> Path:
    """Copies the shipping seed's adapter to `models/<contender>/` of its run, with its card.

    Args:
        model: what it is.
        adapter: what was trained.
        run: where the model goes.

    Returns:
        The folder, an adapter in PEFT format with a README.md.
    """
    target = run.file("models") / model.contender
    with replaced_folder(target) as folder:
        shutil.copytree(adapter, folder, dirs_exist_ok=True)
        write_text(folder / "README.md", model_card(model, model.contender))
    return target


def model_card(model: ModelFile, title: str) -> str:
    """The card as Markdown with front matter.

    Args:
        model: what it is about.
        title: what it is called: `triage@3`.
    """
    text = "\n".join(["", *_body(model, title), ""])
    front = cast("Any", _front(model, title)).to_yaml()
    return str(ModelCard(f"---\n{front}\n---\n{text}"))


def _front(model: ModelFile, title: str) -> ModelCardData:
    measured, said = model.measured, model.verdict
    results: list[EvalResult] = []
    kind = _TASKS.get(model.task.kind or "", "text-generation")
    if measured is not None and said is not None:
        quality = measured.quality
        span = {"low": quality.low, "high": quality.high, "method": quality.method}
        results = [
            EvalResult(
                task_type=kind,
                dataset_type="private",
                dataset_name=f"{model.origin.project}, {_rows(model)}",
                metric_type=said.metric,
                metric_value=quality.value,
                metric_args={key: value for key, value in span.items() if value is not None},
            )
        ]
    return ModelCardData(
        base_model=model.base.name if model.base else model.embedder if model.embeds else None,
        license=model.base.licence if model.base else None,
        library_name=_library(model),
        pipeline_tag=kind,
        tags=["tunewise", model.kind],
        model_name=title if results else None,
        eval_results=results or None,
    )


def _library(model: ModelFile) -> str:
    if model.embeds:
        return "sentence-transformers"
    return "peft" if model.trained else "tunewise"


def _body(model: ModelFile, title: str) -> Iterator[str]:
    origin, asked = model.origin, _asks(model)
    yield f"# {title}"
    yield ""
    yield f"{_what(model)}, made by Tunewise in run `{origin.run}` of `{origin.project}`."
    yield ""
    yield f"- Task: {model.task.instruction or 'as the examples show it'}"
    if model.measured is not None:
        yield from _quality(model, model.measured)
    yield f"- Asked with {asked}"
    if model.measured is not None:
        yield from _requests(model.measured)
    if model.retention is not None:
        yield f"- General ability: {model.retention.kept.sentence}"
    yield f"- Licence: {_licence(model)}"
    yield f"- Data: fingerprint `{origin.data or 'unknown'}`"
    for key, value in model.settings.items():
        yield f"- {key}: {value}"
    if model.verdict is not None:
        yield ""
        yield f"The verdict of the run: {model.verdict.reason}"


def _what(model: ModelFile) -> str:
    words = BUILT_IN[model.kind].in_words
    if model.endpoint is not None:
        return f"`{model.kind}`, {words}: `{model.endpoint.model}` at {model.endpoint.base_url}"
    if model.base is None:
        return f"`{model.kind}`, {words}"
    if model.trained:
        return f"An adapter for `{model.base.name}`"
    return f"`{model.kind}`, {words}: `{model.base.name}`"


def _rows(model: ModelFile) -> str:
    said = model.verdict
    return "dev split" if said is not None and said.first_opinion else "sealed test split"


def _quality(model: ModelFile, measured: ContenderResult) -> Iterator[str]:
    quality = measured.quality
    rows = model.verdict.n_test if model.verdict else 0
    judged = f"{percent(quality.value)} of {plural(rows, 'example')}"
    if quality.low is not None and quality.high is not None:
        judged += f", 95% interval {percent_span(quality.low, quality.high)}"
    else:
        judged += f", no interval: {quality.method}"
    yield f"- Quality on the {_rows(model)} ({model.task.metric}): {judged}"
    if not model.trained:
        return
    by_seed = measured.by_seed
    for seed, value in sorted(by_seed.items()):
        yield f"- Seed {seed}: {percent(value)}{' (ships)' if seed == model.seed else ''}"
    if len(by_seed) > 1:
        yield f"- Mean of the {len(by_seed)} seeds: {percent(fmean(by_seed.values()))}"
    if model.seed is not None:
        yield f"- Seed that ships: {model.seed}, chosen on dev before test was opened"


def _asks(model: ModelFile) -> str:
    if model.embeds:
        return "a text, which it turns into a vector of unit length"
    if not model.asks_model:
        return "the input alone; no language model is"
    passages = " and the passages found for it" if model.searches_passages else ""
    if model.trained:
        return f"the input{passages or ' alone'}, without the instruction"
    return {
        "few_shot": "the instruction, examples of train and the input",
        "prompt": f"the input in its own words: {model.settings.get('variant')}",
    }.get(model.kind, f"the instruction, the input{passages}")


def _requests(measured: ContenderResult) -> Iterator[str]:
    tokens, latency, cost = measured.tokens, measured.latency, measured.cost
    if tokens is not None and tokens.total:
        yield (
            f"- A request takes {mean_tokens(tokens.prompt)} tokens of prompt and "
            f"{mean_tokens(tokens.completion)} of answer"
        )
    if latency is not None:
        yield f"- Latency: {milliseconds(latency.p50)} at the median of {count(latency.n or 0)}"
    if cost is not None:
        yield f"- Cost: {money(cost.per_1000_requests, cost.currency)} for 1,000 requests"


def _licence(model: ModelFile) -> str:
    if model.embeds:
        return f"that of `{model.embedder}`, from which it was tuned; your examples are yours"
    if model.base is None:
        return "yours; no model of others is in it" if model.endpoint is None else "the endpoint's"
    own = f"{model.base.licence}, " if model.base.licence else "not known here, "
    return f"{own}that of `{model.base.name}`; your examples are yours"
