"""Writes a run folder as `decide` leaves it: an outdoor shop's tickets, scored by fixed draws."""

import json
import random
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

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


def draw_scores(n_test: int, rates: dict[str, float]) -> dict[str, list[float]]:
    """Name -> right or wrong on each row; hard rows are hard for everybody."""
    rng = random.Random(7)
    hardness = [rng.random() for _ in range(n_test)]
    return {
        name: [float(0.6 * h + 0.4 * rng.random() < 0.1 + 0.8 * rate) for h in hardness]
        for name, rate in rates.items()
    }


def write_run(
    folder: Path,
    *,
    rule: str = "worth_more",
    n_test: int = 120,
    rates: dict[str, float] | None = None,
    answers: dict[str, str] | None = None,
    changes: dict[str, Any] | None = None,
) -> Path:
    """Writes the files of a run; `answers` replaces the text of a contender's every answer."""
    rates = rates or RATES
    folder.mkdir(parents=True, exist_ok=True)
    scores = draw_scores(n_test, rates)
    _write_records(folder, scores, answers or {})
    outcomes = {
        "worth_more": ("fine_tune", "fine_tune"),
        "not_worth_it": ("few_shot", "few_shot"),
        "cannot_tell": ("undecided", "few_shot"),
        "nothing_learned": ("undecided", None),
        "cheaper": ("fine_tune", "fine_tune"),
    }
    primary = _comparison(scores, "fine_tune", "few_shot")
    verdict = {
        "schema": 1,
        "outcome": outcomes[rule][0],
        "recommended": outcomes[rule][1],
        "reason": _reason(rule, scores, primary),
        "rule": rule,
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
            "shipped_seed": 1,
            "futile": False,
            "written_before_test": True,
        },
        "contenders": [
            *(_contender(name, scores[name]) for name in rates),
            {"name": "rag", "skipped": "no documents given"},
            {"name": "fine_tune_rag", "skipped": "no documents given"},
        ],
        "comparisons": [
            primary,
            *(_comparison(scores, n, "few_shot") for n in rates if n not in primary.values()),
            _comparison(scores, "fine_tune", "constant"),
        ],
        "constraints": [
            {
                "name": "maximum_latency_ms",
                "contender": "fine_tune",
                "met": True,
                "detail": "140 ms of at most 800",
            }
        ],
        "splits": {
            "train": 240,
            "dev": 60,
            "test": n_test,
            "fingerprint": "9f2c4be01d77a6c35e8e4f90a1b2c3d4e5f60718293a4b5c6d7e8f9012345678",
            "groups": n_test,
        },
        "model": {
            "base": "smollm2-135m-instruct",
            "engine": "openvino",
            "why": "the fastest on this CPU that knows the model's family",
        },
        "notes": ["prompt: stopped at its token budget after 9 of 12 variants."],
        "reproduce": "tunewise decide examples/support_triage --seed 0",
        "retention": {},
        "economics": {},
        "learning_curve": {},
        "examples_needed": 140 if rule == "cannot_tell" else None,
    }
    verdict.update(changes or {})
    (folder / "verdict.json").write_text(json.dumps(verdict))
    (folder / "project.toml").write_text(
        '[task]\ninstruction = "Sort it."\n[decision]\nminimum_gain = 0.05\n'
        "maximum_latency_ms = 800\n"
    )
    return folder


def _write_records(folder: Path, scores: dict[str, list[float]], answers: dict[str, str]) -> None:
    tests: list[dict[str, Any]] = []
    answered: list[dict[str, Any]] = []
    scored: list[dict[str, Any]] = []
    for row in range(len(next(iter(scores.values())))):
        message, category = MESSAGES[row % len(MESSAGES)]
        example_id = f"a{row:03d}"
        tests.append({"id": example_id, "input": message, "target": _json(category)})
        for name, values in scores.items():
            for seed in (0, 1, 2) if name == "fine_tune" else (0,):
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


def _contender(name: str, values: list[float]) -> dict[str, Any]:
    value, half = fmean(values), 2 * sqrt(fmean(values) * (1 - fmean(values)) / len(values)) + 0.01
    p50, p95, first = LATENCY[name]
    prompt, completion = TOKENS[name]
    trained = name == "fine_tune"
    trials: list[dict[str, Any]] = []
    if trained:
        trials = [
            {"learning_rate": rate, "epochs": 3, "dev": dev, "n_dev": 60}
            for rate, dev in ((0.0002, 0.83), (0.0005, 0.9), (0.001, 0.85))
        ]
    return {
        "name": name,
        "quality": {"value": value, "low": max(0, value - half), "high": min(1, value + half)},
        "seeds": 3 if trained else 1,
        "by_seed": {"1": value, "2": value - 0.02, "3": value - 0.06} if trained else {"0": value},
        "errors": 3 if name == "big-model" else 0,
        "without_errors": 0.95 if name == "big-model" else None,
        "dev": min(1.0, value + 0.02),
        "trained": trained,
        "ceiling": name == "big-model",
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
        "fit": {
            "seconds": {"fine_tune": 212.0, "constant": 0.01, "prompt": 64.0}.get(name, 31.4),
            "settings": SETTINGS[name],
            "tokens": {
                "prefilled": 31_200 if prompt else 0,
                "generated": 4_100 if prompt else 0,
                "trained": 96_400 if trained else 0,
            },
            "trials": trials,
        },
    }


def _comparison(scores: dict[str, list[float]], a: str, b: str) -> dict[str, Any]:
    gaps = [x - y for x, y in zip(scores[a], scores[b], strict=True)]
    delta = fmean(gaps)
    half = 2 * sqrt(fmean([(g - delta) ** 2 for g in gaps]) / len(gaps)) + 0.005
    return {
        "a": a,
        "b": b,
        "delta": delta,
        "low": delta - half,
        "high": delta + half,
        "p": 0.0001 if abs(delta) > half else 0.3,
        "p_adjusted": 0.0004 if abs(delta) > half else 0.9,
        "method": "Bonett–Price interval, exact McNemar test",
    }


def _reason(rule: str, scores: dict[str, list[float]], primary: dict[str, Any]) -> str:
    tuned, shots = 100 * fmean(scores["fine_tune"]), 100 * fmean(scores["few_shot"])
    low, high = 100 * primary["low"], 100 * primary["high"]
    if rule == "worth_more":
        return (
            f"Fine-tune. It answers {tuned:.0f}% of {len(scores['fine_tune'])} test messages "
            f"right, {tuned - shots:.0f} points more than few_shot ({low:.0f} to {high:.0f}), "
            "with 46 prompt tokens instead of 531, at a third of the latency."
        )
    if rule == "nothing_learned":
        return (
            "Undecided: nothing beats constant, the best answer that ignores the input. "
            "The examples do not teach anything that held-out examples confirm."
        )
    if rule == "cannot_tell":
        return (
            "Cannot tell yet: label about 140 more test examples. fine_tune is "
            f"{tuned - shots:.1f} points ahead of few_shot ({low:.1f} to {high:.1f}); 5 points "
            "would be worth a training. Use few_shot meanwhile."
        )
    return (
        "Do not fine-tune: few_shot is as good. "
        f"few_shot answers {shots:.0f}% right, fine_tune {tuned:.0f}% ({low:.1f} to {high:.1f})."
    )
