"""Tunewise measures, on your own examples, whether fine-tuning a language model is worth it.

>>> from tunewise import Silent, check, decide, load_project, read_run
>>> project = load_project(path)
>>> check(project, progress=Silent()).report.errors
()
>>> run = decide(project, out="run", progress=Silent())
>>> run.outcome in {"undecided", *(one.name for one in run.contenders)}
True
>>> read_run("run").to_pandas().contender.unique().tolist() == [c.name for c in run.measured]
True
"""

import os

TYPE_CHECKING = False  # read by type checkers as true; `typing` alone would take 10 ms to load
if TYPE_CHECKING:
    from tunewise.data.checks.findings import Finding
    from tunewise.data.checks.result import Checked
    from tunewise.errors import UserError
    from tunewise.pipelines.api import Trained, check, decide, load_project, read_run, train
    from tunewise.progress import Progress, Silent
    from tunewise.project.settings import Project
    from tunewise.report.notebook import FinishedRun
    from tunewise.types import Answer, Comparison, Example, Message, Score

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Checked",
    "Comparison",
    "Example",
    "Finding",
    "FinishedRun",
    "Message",
    "Progress",
    "Project",
    "Score",
    "Silent",
    "Trained",
    "UserError",
    "__version__",
    "check",
    "decide",
    "load_project",
    "read_run",
    "train",
]

# No telemetry: huggingface_hub reads this once, when it is first imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# Loaded when they are first asked for (PEP 562), so that `import tunewise` costs nothing.
_MODULES = {
    "tunewise.pipelines.api": ("Trained", "check", "decide", "load_project", "read_run", "train"),
    "tunewise.data.checks.findings": ("Finding",),
    "tunewise.data.checks.result": ("Checked",),
    "tunewise.errors": ("UserError",),
    "tunewise.progress": ("Progress", "Silent"),
    "tunewise.project.settings": ("Project",),
    "tunewise.report.notebook": ("FinishedRun",),
    "tunewise.types": ("Answer", "Comparison", "Example", "Message", "Score"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Loads what stands in `__all__`."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - most who import the package ask for none

    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    """What a notebook completes."""
    return sorted(__all__)
