"""Writes a run folder as `decide` leaves it: an outdoor shop's tickets, scored by fixed draws.

The verdict is that of the shipped rule on these scores.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from example_costs import ShopCosts, shop_costs
from tunewise.decision.plan import Measured, Plan
from tunewise.decision.rule import Demands, Saving, decide, quality
from tunewise.statistics.intervals import Interval
from tunewise.types import Verdict

MESSAGES = [
    ("hi, the two man tent still says 'label created'. is it even in the building??", "delivery"),
    ("The headlamp switches itself off after a minute, even with fresh batteries.", "defect"),
    ("tracking??", "delivery"),
    ("Do the Ridge boots come in half sizes? I'm between a 43 and a 44.", "question"),
    ("Ich möchte den Schlafsack zurückgeben, er ist mir zu warm. Wie geht das?", "return"),
    ("You charged me twice for HP-20771. Great service, really. Money back, please.", "billing"),
    ("love the kayak!! best summer of our lives, thank you all", "praise"),
    ("Wrong colour AND a broken buckle. I ordered the green one for my daughter.", "defect"),
    ("Can I change the delivery address? We moved last week, order HP-20412.", "delivery"),
    ("The stove works but the invoice has my old company name on it.", "billing"),
]
CATEGORIES = ["delivery", "defect", "question", "return", "billing", "praise"]
RATES = {
    "constant": 0.22,
    "zero_shot": 0.12,
    "prompt": 0.55,
    "few_shot": 0.74,
    "classifier": 0.68,
    "fine_tune": 0.91,
    "big-model": 0.93,
}
TOKENS = {
    "constant": (0.0, 0.0),
    "zero_shot": (71.4, 34.0),
    "prompt": (148.2, 21.3),
    "few_shot": (531.0, 12.2),
    "classifier": (0.0, 0.0),
    "fine_tune": (46.1, 11.9),
    "big-model": (152.0, 12.4),
}
LATENCY = {
    "constant": (0.01, 0.02, None),
    "zero_shot": (310.0, 480.0, 92.0),
    "prompt": (288.0, 390.0, 140.0),
    "few_shot": (410.0, 610.0, 301.0),
    "classifier": (8.4, 11.0, None),
    "fine_tune": (140.0, 210.0, 58.0),
    "big-model": (820.0, 1630.0, 340.0),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "constant": {"answer": '{"category": "delivery", "urgency": "normal"}'},
    "zero_shot": {},
    "prompt": {
        "variant": "label list with definitions",
        "instruction": "You sort messages for a shop's support desk.\n"
        "Answer with JSON: category, urgency.\n\n"
        "delivery: where is my parcel\ndefect: it is broken",
    },
    "few_shot": {"k": 8, "choice": "nearest (BM25)"},
    "classifier": {"embedding": "all-minilm-l6-v2", "C": 1.0},
    "fine_tune": {"learning_rate": 0.0005, "epochs": 3, "rank": 16, "alpha": 32, "batch": 8},
    "big-model": {"prompt": "that of `prompt`"},
}


Scores = Mapping[str, Sequence[Sequence[float]]]
"""Contender -> for each of its seeds, right or wrong on each row."""
SEEDS, SHIPPED = 3, 0


@dataclass(frozen=True, kw_only=True)
class Shop:
    """True rates of right answers and a number of test rows that end in one way."""

    rates: Mapping[str, float]
    n_test: int
    saves: bool = False
    """Whether the training is cheaper than each that needs none."""


EVEN = RATES | {"classifier": 0.5, "prompt": 0.4, "few_shot": 0.8}
SHOPS = {
    "fine_tune": Shop(rates=RATES, n_test=120),
    "cheaper": Shop(rates=EVEN | {"fine_tune": 0.81}, n_test=700, saves=True),
    "better_by_less": Shop(rates=EVEN | {"fine_tune": 0.84}, n_test=700),
    "surely_by_less": Shop(rates=EVEN | {"fine_tune": 0.825}, n_test=1100),
    "practically_the_same": Shop(rates=EVEN | {"fine_tune": 0.8}, n_test=700),
    "do_not": Shop(rates=RATES | {"fine_tune": 0.3}, n_test=120),
    "stay": Shop(rates=EVEN | {"fine_tune": 0.83}, n_test=60),
    "cannot_tell": Shop(rates=EVEN | {"fine_tune": 0.86}, n_test=60),
    "nothing_learned": Shop(rates=dict.fromkeys(RATES, 0.2), n_test=120),
}
"""Every way in which a run with all contenders ends -> a shop where it does: the findings, two
kinds of `fine_tune` and `better_by_less` among them."""


def draw_scores(n_test: int, rates: Mapping[str, float]) -> Scores:
    """Hard rows are hard for everybody."""
    rng = random.Random(7)
    hardness = [rng.random() for _ in range(n_test)]
    return {
        name: [
            [float(0.6 * h + 0.4 * rng.random() < 0.1 + 0.8 * rate) for h in hardness]
            for _ in range(SEEDS if name == "fine_tune" else 1)
        ]
        for name, rate in rates.items()
    }


def write_run(
    folder: Path,
    *,
    ends: str = "fine_tune",
    n_test: int | None = None,
    rates: Mapping[str, float] | None = None,
    answers: Mapping[str, str] | None = None,
    unused: Mapping[str, int] | None = None,
    left_out: Mapping[str, int] | None = None,
    draws: int = 40,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Writes the files of a run.

    Args:
        folder: where to.
        ends: which of `SHOPS`.
        n_test: test rows, if others than the shop's; then the run may end in another way.
        rates: the same of the rates.
        answers: contender -> the text of its every answer.
        unused: setting -> labelled test rows that it leaves out.
        left_out: what holds test rows -> how many were left out for it.
        draws: next looks simulated for the assurance.
        changes: of verdict.json.
    """
    shop = SHOPS[ends]
    n_test = n_test or shop.n_test
    scores = draw_scores(n_test, rates or shop.rates)
    folder.mkdir(parents=True, exist_ok=True)
    _write_records(folder, scores, answers or {})
    unused_test = sum((unused or {}).values())
    measured = {name: _measured(name, values) for name, values in scores.items()}
    costs = shop_costs({name: TOKENS[name] for name in measured}, n_test) if shop.saves else None
    found = _decided(
        measured,
        savings=costs.economics.rule_savings if costs else None,
        unused_test=unused_test,
        left_out=sum((left_out or {}).values()),
        draws=draws,
    )
    told = asdict(found)
    verdict = {
        "schema": 1,
        **{key: told[key] for key in ("outcome", "recommended", "reason", "rule")},
        "metric": "exact_match",
        "n_test": n_test,
        "test_set_uses": 1,
        "task": {
            "instruction": "Sort the message for our support desk.",
            "kind": "extraction",
            "metric": "exact_match",
        },
        "plan": {
            "incumbent": "few_shot",
            "challenger": "fine_tune",
            "shipped_seed": SHIPPED,
            "futile": False,
            "written_before_test": True,
        },
        "contenders": [
            *(_contender(one, costs) for one in measured.values()),
            {"name": "rag", "skipped": "no documents given"},
            {"name": "fine_tune_rag", "skipped": "no documents given"},
        ],
        **{key: told[key] for key in ("comparisons", "constraints")},
        "splits": {
            "train": 2 * n_test,
            "dev": n_test // 2,
            "test": n_test,
            "fingerprint": "9f2c4be01d77a6c35e8e4f90a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
            "groups": n_test,
            "unused": unused or {},
            "unused_test": unused_test,
            "leaked": left_out or {},
        },
        "model": {
            "base": "smollm2-135m-instruct",
            "engine": "openvino",
            "why": "the fastest on this CPU that knows the model's family",
        },
        "notes": ["prompt: stopped at its token budget after 9 of 12 variants."],
        "reproduce": "tunewise decide examples/support_triage --seed 0",
        "retention": {},
        "economics": costs.against(told["untrained"]) if costs else {},
        "learning_curve": {},
        **{key: told[key] for key in ("examples_needed", "finding", "regret", "assurance")},
        "untrained": told["untrained"],
    }
    verdict.update(changes or {})
    (folder / "verdict.json").write_text(json.dumps(verdict))
    (folder / "project.toml").write_text(
        '[task]\ninstruction = "Sort it."\n[decision]\nminimum_gain = 0.05\n'
        "maximum_latency_ms = 800\n"
    )
    return folder


def _measured(name: str, values: Sequence[Sequence[float]]) -> Measured:
    return Measured(
        name=name,
        trained=name == "fine_tune",
        scores=dict(enumerate(values)),
        ceiling=name == "big-model",
        latency_p50_ms=LATENCY[name][0],
        latency_high_ms=1.05 * LATENCY[name][0],
        tokens=sum(TOKENS[name]),
    )


def _decided(
    measured: Mapping[str, Measured],
    *,
    savings: Mapping[str, Saving] | None,
    unused_test: int,
    left_out: int,
    draws: int,
) -> Verdict:
    plan = Plan(
        incumbent="few_shot",
        challenger="fine_tune",
        ships=dict.fromkeys(measured, SHIPPED),
        seeds={name: len(one.scores) for name, one in measured.items()},
        seeds_wanted=SEEDS,
        dev_quality=dict.fromkeys(measured, 0.5),
    )
    return decide(
        plan,
        list(measured.values()),
        metric="exact_match",
        binary=True,
        demands=Demands(minimum_gain=0.05, maximum_latency_ms=800.0),
        savings=savings,
        unused_test=unused_test,
        left_out=left_out,
        draws=draws,
    )


def _write_records(folder: Path, scores: Scores, answers: Mapping[str, str]) -> None:
    tests: list[dict[str, Any]] = []
    answered: list[dict[str, Any]] = []
    scored: list[dict[str, Any]] = []
    for row in range(len(next(iter(scores.values()))[0])):
        message, category = MESSAGES[row % len(MESSAGES)]
        example_id = f"a{row:03d}"
        tests.append({"id": example_id, "input": message, "target": _json(category)})
        for name, seeds in scores.items():
            for seed, values in enumerate(seeds):
                other = CATEGORIES[(CATEGORIES.index(category) + 1 + len(name) % 5) % 6]
                text = _json(category if values[row] else other)
                if name == "zero_shot":
                    text = f"The category of this message is {category}, I would say."
                crashed = name == "big-model" and row % 40 == 39
                answered.append(
                    {
                        "example_id": example_id,
                        "contender": name,
                        "seed": seed,
                        "text": None if crashed else answers.get(name, text),
                        "error": "the endpoint answered 503 five times" if crashed else None,
                        "usage": {"prompt_tokens": 46, "cached_tokens": 0, "completion_tokens": 12},
                        "seconds": 0.4,
                        "passages": [],
                    }
                )
                scored.append(
                    {
                        "example_id": example_id,
                        "contender": name,
                        "seed": seed,
                        "metric": "exact_match",
                        "value": None if crashed else values[row],
                        "reason": "not JSON" if name == "zero_shot" else None,
                    }
                )
    for name, records in (("test", tests), ("answers", answered), ("scores", scored)):
        text = "".join(json.dumps(record) + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(text)


def _json(category: str) -> str:
    urgency = "high" if category in {"defect", "billing"} else "normal"
    return json.dumps({"category": category, "urgency": urgency})


def _contender(one: Measured, costs: ShopCosts | None) -> dict[str, Any]:
    name, found = one.name, quality(one, binary=True, seed=SHIPPED)
    p50, p95, first = LATENCY[name]
    prompt, completion = TOKENS[name]
    trials: list[dict[str, Any]] = []
    if one.trained:
        trials = [
            {"learning_rate": rate, "epochs": 3, "dev": dev, "n_dev": 60}
            for rate, dev in ((0.0002, 0.83), (0.0005, 0.9), (0.001, 0.85))
        ]
    interval = {"low": found.low, "high": found.high} if isinstance(found, Interval) else {}
    return {
        "name": name,
        "quality": {"value": found.value, **interval},
        "seeds": len(one.scores),
        "by_seed": {str(seed): one.quality(seed) for seed in one.scores},
        "errors": 3 if name == "big-model" else 0,
        "without_errors": 0.95 if name == "big-model" else None,
        "dev": min(1.0, found.value + 0.02),
        "trained": one.trained,
        "ceiling": one.ceiling,
        "secondary": {"valid_json": 0.0 if name == "zero_shot" else 0.99},
        "tokens": {"prompt": prompt, "cached": 0.0, "completion": completion},
        "latency_ms": {
            "p50": p50,
            "p50_low": 0.95 * p50,
            "p50_high": 1.05 * p50,
            "p95": p95,
            "n": 20,
            "first_token_p50": first,
        },
        "cost": costs.requests.get(name) if costs else None,
        "fit": {
            "seconds": {"fine_tune": 212.0, "constant": 0.01, "prompt": 64.0}.get(name, 31.4),
            "settings": SETTINGS[name],
            "tokens": {
                "prefilled": 31_200 if prompt else 0,
                "generated": 4_100 if prompt else 0,
                "trained": 96_400 if one.trained else 0,
            },
            "trials": trials,
        },
    }
