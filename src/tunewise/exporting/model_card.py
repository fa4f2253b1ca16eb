"""Puts the adapter that ships into the run's `models/` folder, with a card that says what it is."""

import json
import shutil
from pathlib import Path
from statistics import fmean

from tunewise.project.settings import Project
from tunewise.report.verdict_json import Entry
from tunewise.runs.folder import RunFolder
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.storage import replaced_folder, write_text
from tunewise.wording import percent, percent_span


def ship(entry: Entry, run: RunFolder, project: Project, quality: Interval | NotComputed) -> Path:
    """Copies the shipping seed's adapter to `models/<contender>/`.

    Args:
        entry: what was measured of it.
        run: where the model goes.
        project: what it was trained for.
        quality: of the seed that ships, on test.

    Returns:
        The folder, an adapter in PEFT format with a README.md.
    """
    source = Path(entry.fit.artifact[entry.shipped_seed])
    target = run.file("models") / entry.name
    with replaced_folder(target) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        write_text(folder / "README.md", _card(entry, run, project, quality))
    return target


def _card(entry: Entry, run: RunFolder, project: Project, quality: Interval | NotComputed) -> str:
    settings = "\n".join(
        f"- {key}: {value}" for key, value in entry.fit.settings.items() if key != "retrieval"
    )
    asked = "and the passages found for it" if entry.retrieval else "alone"
    by_seed = {seed: entry.measured.quality(seed) for seed in sorted(entry.measured.scores)}
    rows = entry.measured.values(entry.shipped_seed).size
    judged = f"{percent(quality.value)} of {rows:,} examples"
    if isinstance(quality, Interval):
        judged += f", 95% interval {percent_span(quality.low, quality.high)}"
    else:
        judged += f", no interval: {quality.reason}"
    seeds = "".join(
        f"\n- Seed {seed}: {percent(value)}{' (ships)' if seed == entry.shipped_seed else ''}"
        for seed, value in by_seed.items()
    )
    if len(by_seed) > 1:
        seeds += f"\n- Mean of the {len(by_seed)} seeds: {percent(fmean(by_seed.values()))}"
    base = entry.base or project.model.bases[0]
    return f"""---
base_model: {json.dumps(base, ensure_ascii=False)}
library_name: peft
---

# {entry.name}

An adapter for `{base}`, trained by Tunewise in run `{run.id}`.

- Task: {project.task.instruction or "as the examples show it"}
- Quality on the sealed test split ({project.task.metric}): {judged}{seeds}
- Seed that ships: {entry.shipped_seed}, chosen on dev before test was opened
- Asked with the input {asked}, without the instruction
{settings}

The verdict on whether to use it is in `verdict.json` and `report.html` of the run.
"""
