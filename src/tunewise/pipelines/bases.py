"""Opens the base models of a run, one or several, and says what they are."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from tunewise.models.engines.open import EngineOpener, Opened
from tunewise.models.engines.turns import Turns
from tunewise.models.stored import parameters
from tunewise.progress import Progress
from tunewise.project.derived import labelled_bases
from tunewise.project.settings import Model


def open_bases(
    model: Model, opener: EngineOpener, progress: Progress, stack: ExitStack
) -> dict[str, Opened]:
    """Short name of each base -> its engine; of several, one is open at a time.

    Args:
        model: of the project.
        opener: opens one base.
        progress: informed of conversions.
        stack: closes what was opened.

    Raises:
        UserError: of all bases that cannot be used, together.
    """
    named = labelled_bases(model)
    if len(named) == 1:
        return {base: stack.enter_context(opener(model, progress=progress)) for base in named}
    settings = {base: replace(model, base=name) for base, name in named.items()}
    turns = Turns(settings, opener, progress)
    stack.callback(turns.close)
    return turns.open_all()


def sizes_of(bases: Mapping[str, Opened]) -> dict[str, int]:
    """Short name of each base -> its weights; empty where there is one base."""
    if len(bases) == 1:
        return {}
    return {base: parameters(one.model.folder) for base, one in bases.items() if one.model}


def engines_in_words(bases: Mapping[str, Opened]) -> tuple[str, str]:
    """The engines that run the bases, and why these: `openvino`, `no GPU, and ...`."""
    names = dict.fromkeys(one.engine.name for one in bases.values())
    whys = {base: one.why for base, one in bases.items()}
    if len(set(whys.values())) == 1:
        return ", ".join(names), next(iter(whys.values()))
    return ", ".join(names), "; ".join(f"{base}: {why}" for base, why in whys.items())
