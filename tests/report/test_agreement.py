"""The sentences of a verdict and the tables of its report tell the same numbers."""

import io
import re
from collections.abc import Callable
from dataclasses import asdict
from html import unescape

import numpy as np
import pytest
from rich.console import Console

from tunewise.decision.plan import Measured, choose_plan
from tunewise.decision.rule import Demands, decide, quality
from tunewise.report.html import render_html
from tunewise.report.summary import summary
from tunewise.report.terminal import render_verdict
from tunewise.runs.schema import Run
from tunewise.statistics.intervals import Interval
from tunewise.types import Verdict
from tunewise.wording import points, points_span

MakeRun = Callable[..., Run]
N = 60
PERCENT = re.compile(r"\d+\.\d%")
SIGN = "[+\N{MINUS SIGN}]?"
SPAN = re.compile(rf"\(({SIGN}[\d.]+ to {SIGN}[\d.]+)\)")


def measured_and_decided(seed: int, *, binary: bool) -> tuple[list[Measured], Verdict]:
    """Four contenders with drawn rates and scores, and the verdict of the rule on them."""
    rng = np.random.default_rng(seed)
    hard = rng.random(N)
    everyone: list[Measured] = []
    for name in ("constant", "few_shot", "classifier", "fine_tune"):
        rate = rng.uniform(0.05, 0.5) if name == "constant" else rng.uniform(0.3, 1.0)
        scores = {
            number: (
                (0.5 * hard + 0.5 * rng.random(N) < rate).astype(float)
                if binary
                else np.clip(rate - 0.4 * hard + 0.1 * rng.random(N), 0.0, 1.0)
            )
            for number in ((0, 1, 2) if name == "fine_tune" else (0,))
        }
        everyone.append(Measured(name=name, trained=name == "fine_tune", scores=scores))
    plan = choose_plan(everyone, minimum_gain=0.05)
    demands = Demands(minimum_gain=0.05)
    return everyone, decide(plan, everyone, metric="accuracy", binary=binary, demands=demands)


def as_run(make_run: MakeRun, everyone: list[Measured], found: Verdict, *, binary: bool) -> Run:
    """The run that a verdict ends."""
    contenders = []
    for one in everyone:
        estimate = quality(one, binary=binary)
        assert isinstance(estimate, Interval)
        contenders.append(
            {
                "name": one.name,
                "trained": one.trained,
                "quality": {"value": estimate.value, "low": estimate.low, "high": estimate.high},
                "seeds": len(one.scores),
                "by_seed": {str(seed): one.quality(seed) for seed in one.scores},
            }
        )
    plan = choose_plan(everyone, minimum_gain=0.05)
    changes = {
        **{key: getattr(found, key) for key in ("outcome", "recommended", "reason", "rule")},
        "examples_needed": found.examples_needed,
        "comparisons": [asdict(one) for one in found.comparisons],
        "constraints": [asdict(one) for one in found.constraints],
        "contenders": contenders,
        "plan": {"incumbent": plan.incumbent, "challenger": plan.challenger},
    }
    return make_run(n_test=N, rates={"few_shot": 0.5, "fine_tune": 0.7, "constant": 0.2},
                    changes=changes)  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_every_number_of_a_sentence_stands_in_the_tables(make_run: MakeRun, seed: int):
    binary = seed % 2 == 0
    everyone, found = measured_and_decided(seed, binary=binary)
    run = as_run(make_run, everyone, found, binary=binary)
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    render_verdict(run, console)
    assert isinstance(console.file, io.StringIO)
    table = console.file.getvalue().split("\n\n")[0]
    page = unescape(re.sub(r"<[^>]+>", " ", render_html(run)))
    sentences = " ".join([found.reason, *summary(run).sentences])
    shown = PERCENT.findall(sentences)
    assert shown
    for percentage in shown:
        assert percentage in table
        assert percentage in page
    known = {points_span(one.low, one.high): points(one.delta) for one in found.comparisons}
    for span in SPAN.findall(found.reason):
        assert span in known
    if found.rule != "nothing_learned":
        assert run.primary is not None
        low_and_high = points_span(run.primary.low, run.primary.high)
        assert f"{points(run.primary.delta)} ({low_and_high})" in table
        assert low_and_high in page
