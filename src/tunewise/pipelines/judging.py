"""A model compares a finished run's two finalists, and is held to what a person rated.

What it says is appended to judgements.jsonl group by group: a run of it that was stopped goes on.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tunewise.errors import UserError
from tunewise.evaluation.judge import GROUP, Judge, Missed, judge_pairs
from tunewise.models.engines.open import EngineOpener, Opened, open_engine
from tunewise.pipelines.passages import with_passages
from tunewise.pipelines.rating import conclude_judging, judgements_of, project_of
from tunewise.progress import Progress
from tunewise.project.settings import JudgeSettings, Model, Project
from tunewise.runs.judged import JUDGEMENT, JUDGEMENTS, Judgement, JudgeResult
from tunewise.runs.made_from import base_of
from tunewise.runs.pairs import Pairs, RatingFile, pairs_of
from tunewise.runs.read import read_run
from tunewise.runs.records import dump
from tunewise.storage import append_lines
from tunewise.wording import plural

_HERE = ("localhost", "127.0.0.1", "::1")


def judge_run(
    folder: Path,
    *,
    progress: Progress,
    overrides: Sequence[str] = (),
    opener: EngineOpener = open_engine,
) -> JudgeResult:
    """Has the judge of `[judge]` compare every pair in both orders, and writes judge.json.

    Args:
        folder: of a finished run.
        progress: informed of what is being done.
        overrides: `key=value`, as for `load_project`.
        opener: opens the judge; what it opens is closed at the end.

    Raises:
        UserError: no finished run, no pairs or wrong ratings in it, a judge that cannot be used;
            all that is wrong with its settings together.
    """
    run = read_run(folder)
    pairs = pairs_of(run)
    RatingFile(folder, pairs)  # wrong ratings are told before a judge is paid
    project = project_of(folder, overrides)
    settings = project.judge
    if faults := _faults(project):
        raise UserError.together(faults)
    pairs, unseen = with_passages(pairs, run, project)
    with opener(_model(settings), progress=progress) as opened:
        if opened.model and opened.model.sha256 == base_of(folder):
            raise UserError(
                f"judge.model: {settings.model} is the base model of this run under another name, "
                "and never judges itself. Name another one."
            )
        judge = Judge(
            engine=opened.engine,
            model=_identity(settings, opened),
            criteria=settings.criteria,
            instruction=pairs.instruction,
        )
        notes = _judge_all(judge, pairs, folder, progress)
    return conclude_judging(
        run,
        pairs,
        judge.id,
        name=str(settings.model),
        criteria=[*settings.criteria],
        notes=[*unseen, *notes],
    )


def _judge_all(judge: Judge, pairs: Pairs, folder: Path, progress: Progress) -> list[str]:
    """Asks about what was not judged yet; what a reader should know of it."""
    known = judgements_of(folder, pairs).get(judge.id, {})
    todo = [pair for pair in pairs.open if pair.row.id not in known]
    missed: list[Missed] = []
    with progress.task(f"judging {plural(len(todo), 'pair')}", total=len(todo)) as advance:
        for start in range(0, len(todo), GROUP):
            group = todo[start : start + GROUP]
            found = judge_pairs(judge, pairs, group)
            judged = [one for one in found if isinstance(one, Judgement)]
            append_lines(folder / JUDGEMENTS, [dump(JUDGEMENT, one) for one in judged])
            missed += [one for one in found if isinstance(one, Missed)]
            advance(len(group))
    if not missed:
        return []
    if len(missed) == len(todo) and not known:
        raise UserError(f"The judge answered nothing: {missed[0].why}")
    return [
        f"{plural(len(missed), 'pair')} could not be judged and count as ties: "
        f"{missed[0].why.removesuffix('.')}. "
        "The same command asks about them again."
    ]


def _faults(project: Project) -> list[str]:
    """What keeps the judge from being asked, each with what to do."""
    judge, place = project.judge, project.root / "tunewise.toml"
    if judge.model is None:
        return [
            f"{place}: judge: is missing. Write [judge] with the model that judges, and "
            "[judge.criteria] with a line for each thing that makes an answer good."
        ]
    host = urlsplit(judge.base_url).hostname
    if judge.engine == "openai" and host not in _HERE and not os.environ.get(judge.api_key_env):
        return [
            f"{place}: judge.api_key_env: the environment variable {judge.api_key_env} is not set, "
            f"and {judge.base_url} needs a key. Run: export {judge.api_key_env}=..."
        ]
    return []


def _model(judge: JudgeSettings) -> Model:
    """The judge as a [model] table."""
    return Model(
        base=str(judge.model),
        engine=judge.engine,
        base_url=judge.base_url,
        api_key_env=judge.api_key_env,
        concurrency=judge.concurrency,
        thinking=judge.thinking,
        thinking_tokens=judge.thinking_tokens,
    )


def _identity(judge: JudgeSettings, opened: Opened) -> str:
    """What tells this model from others: its weights, or its name at an address."""
    if opened.model:
        return opened.model.sha256
    return f"{judge.model} at {judge.base_url if judge.engine == 'openai' else 'this machine'}"
