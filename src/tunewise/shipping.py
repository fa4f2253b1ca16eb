"""Puts the adapter that ships into the run's `models/` folder, with a card that says what it is.

Knows nothing of training.
"""

import json
import shutil
from pathlib import Path

from tunewise.files import write_text
from tunewise.outcome import Entry
from tunewise.project import Project
from tunewise.runs import RunFolder


def ship(entry: Entry, run: RunFolder, project: Project) -> Path:
    """Copies the shipping seed's adapter to `models/<contender>/`.

    Returns:
        The folder, an adapter in PEFT format with a README.md.
    """
    source = Path(entry.fit.artifact[entry.shipped_seed])
    target = run.file("models") / entry.name
    beside = target.with_name(f".{target.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(source, beside)
    write_text(beside / "README.md", _card(entry, run, project))
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)
    return target


def _card(entry: Entry, run: RunFolder, project: Project) -> str:
    settings = "\n".join(
        f"- {key}: {value}" for key, value in entry.fit.settings.items() if key != "retrieval"
    )
    asked = "and the passages found for it" if entry.retrieval else "alone"
    quality = entry.measured.quality(entry.shipped_seed)
    return f"""---
base_model: {json.dumps(project.model.base, ensure_ascii=False)}
library_name: peft
---

# {entry.name}

An adapter for `{project.model.base}`, trained by Tunewise in run `{run.id}`.

- Task: {project.task.instruction or "as the examples show it"}
- Quality on the sealed test split ({project.task.metric}): {quality:.3f}
- Seed that ships: {entry.shipped_seed}, chosen on dev before test was opened
- Asked with the input {asked}, without the instruction
{settings}

The verdict on whether to use it is in `verdict.json` and `report.html` of the run.
"""
