"""A first opinion in minutes: fewer contenders, fewer rows, and test stays sealed.

The rule is the same. The rows set aside for choosing (dev) judge, with some of train where they are
few; what is chosen is chosen on other rows of train that nothing is trained on.
"""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from tunewise.contenders.race import by_unit
from tunewise.data.fingerprints import split_fingerprint
from tunewise.data.prepare import Prepared
from tunewise.errors import UserError
from tunewise.runs.folder import QUICK, RUNS
from tunewise.runs.made_from import same_model
from tunewise.types import Example, Splits
from tunewise.wording import count, joined

CONTENDERS = ("constant", "zero_shot", "few_shot", "classifier", "fine_tune")
"""Those that take part, as far as the project names them."""
MIN_JUDGED = 40
"""Rows that judge, where a third of train is enough to fill up dev."""
MAX_TRAIN = 150
"""Rows that are learned from at most."""
SHARE, MIN_DEV, MAX_DEV = 0.2, 12, 40
"""Part of train that is chosen on, and its rows at least and at most."""


def first_opinion(prepared: Prepared) -> Prepared:
    """The project as a first opinion sees it.

    Raises:
        UserError: none of its contenders takes part, or there are too few rows.
    """
    project, splits = prepared.project, prepared.splits
    use = tuple(name for name in project.contenders.use if name in CONTENDERS)
    if not use:
        raise UserError(
            f"--quick: none of contenders.use takes part in a first opinion. Name at least one of: "
            f"{', '.join(CONTENDERS)}."
        )
    wanted = min(MAX_DEV, max(MIN_DEV, round(SHARE * len(splits.train))))
    missing = min(max(0, MIN_JUDGED - len(splits.dev)), len(splits.train) // 3)
    judged: list[Example] = []
    dev: list[Example] = []
    train: list[Example] = []
    for unit in _by_unit(splits):
        if len(judged) < missing:
            judged += unit
        elif len(dev) < wanted:
            dev += unit
        elif len(train) + len(unit) <= MAX_TRAIN:
            train += unit
    if not train or not splits.dev:
        raise UserError(
            f"--quick: {count(len(splits.train))} training rows are too few for a first opinion. "
            "Run without --quick, or label more."
        )
    test = (*splits.dev, *judged)
    quick = replace(
        splits,
        train=tuple(train),
        dev=tuple(dev),
        test=test,
        fingerprint=split_fingerprint({"train": train, "dev": dev, "test": test}),
        reserved=(),
        leaked={},
    )
    left_out = [
        name
        for name in (*project.contenders.use, *(one.name for one in project.contenders.endpoints))
        if name not in use
    ]
    aside = (
        f" {joined(left_out)} take{'s' if len(left_out) == 1 else ''} no part in it."
        if left_out
        else ""
    )
    base, *others = project.model.bases
    if others:
        aside += f" Of the base models, it asks {base} alone."
    note = (
        f"A first opinion: {count(len(train))} rows to learn from, one seed, judged on "
        f"{count(len(test))} rows of dev and train that nothing is learned from or chosen on. The "
        f"{count(len(splits.test))} test rows stay sealed: what is called test in this run are the "
        f"rows that judge. The whole run is the one to rely on.{aside}"
    )
    return replace(
        prepared,
        project=replace(
            project,
            model=replace(project.model, base=base),
            contenders=replace(project.contenders, use=use, endpoints=(), optimiser=None),
            training=replace(project.training, seeds=1),
            decision=replace(project.decision, measure=()),
        ),
        splits=quick,
        notes=(note,),
        unused={},
        unused_test=0,
    )


def take_answers(run: Path, root: Path, *, base: str | None) -> None:
    """Gives a new run what the newest first opinion with the same base was answered already.

    Args:
        run: its folder; a run that has answers of its own keeps them.
        root: of the project.
        base: hash of the base model; None: it is not on this machine, and nothing is taken.
    """
    journal = "fit-answers.jsonl"
    if base is None or (run / journal).exists():
        return
    found = sorted((root / RUNS / QUICK).glob(f"*/{journal}"), reverse=True)
    for file in found:
        if same_model(file.parent, run, base):
            shutil.copy(file, run / journal)
            return


def _by_unit(splits: Splits) -> list[list[Example]]:
    """The units of train in an order that depends on nothing but their names."""
    units = by_unit(splits.train, splits.units_of(splits.train))
    order = sorted(units, key=lambda name: hashlib.sha256(f"quick {name}".encode()).digest())
    return [units[name] for name in order]
