"""Measures what the challenger forgot, before test is opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tunewise.evaluation.retention import measure_retention
from tunewise.evaluation.suite.items import Suite
from tunewise.models.engines.open import Opened
from tunewise.pipelines.fitting import Fits, Job
from tunewise.project.contenders import BUILT_IN, way_of
from tunewise.runs.retention import RetentionResult

PART = "retention"
"""Its name in `[decision] measure`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgetting:
    """What was found, or why nothing was measured."""

    results: Mapping[str, RetentionResult] = field(default_factory=dict[str, RetentionResult])
    """Trained contender -> what became of its general ability."""
    missing: str = ""
    """Why there is none: the end of a sentence."""


def measure_forgetting(job: Job, fits: Fits, opened: Opened, suite: Suite) -> Forgetting:
    """Asks the base and the challenger's adapter that will ship; choices are made by then.

    Args:
        job: of the run.
        fits: with the plan, which names the challenger.
        opened: the engine of the base.
        suite: what is asked.
    """
    found = _measured(job, fits, opened, suite)
    job.remaining.did_part(PART, measured=bool(found.results))
    return found


def _measured(job: Job, fits: Fits, opened: Opened, suite: Suite) -> Forgetting:
    project, challenger = job.prepared.project, fits.plan.challenger
    missing = ""
    if PART not in project.decision.measure:
        missing = "it was not asked for"
    elif challenger is None or challenger not in fits.fitted:
        missing = "nothing was trained"
    elif BUILT_IN[way_of(challenger)].ranks:
        missing = f"{challenger} is no language model"
    elif fits.futile:
        missing = f"dev already shows that {challenger} is not worth its training"
    elif opened.model is None or opened.engine.name == "scripted":
        missing = f"the engine {opened.engine.name} runs no model on this machine"
    else:
        seed = fits.plan.ships[challenger]
        found = measure_retention(
            Path(fits.fitted[challenger].fit.artifact[seed]),
            engine=opened.engine,
            model=opened.model,
            suite=suite,
            margin=project.decision.retention_margin,
            folder=job.run.path,
            progress=job.progress,
        )
        job.run.event("retention measured", contender=challenger, state=found.state)
        return Forgetting(results={challenger: found})
    return Forgetting(missing=missing)
