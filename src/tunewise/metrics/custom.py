"""Turns "module:function" into a judge of answers, and its faults into messages for its author.

The module is a file of the project, or an installed one. What it prints goes to stderr: stdout may
be one JSON document.
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from pathlib import Path
from types import ModuleType

from tunewise.errors import UserError

_OWN = "_metric_of_the_project_"
_ROUNDING = 1e-9
"""How far beyond 0 or 1 a number may lie: sums of parts do by rounding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMetric:
    """A function of the user's, checked on every call."""

    name: str
    """As written: "module:function"."""
    function: Callable[[str, str], object]

    @property
    def binary(self) -> bool:
        """Whether the function's result is annotated as bool."""
        annotated = self.function if hasattr(self.function, "__annotations__") else self._call
        kind: object = getattr(annotated, "__annotations__", {}).get("return")
        return getattr(kind, "__name__", kind) in ("bool", "bool_")

    def value(self, answer: str, target: str) -> float:
        """The function's judgement of one answer, 0 to 1.

        Raises:
            UserError: the function raised, or gave something else than a number from 0 to 1.
        """
        try:
            with contextlib.redirect_stdout(sys.stderr):
                result = _plain(self.function(answer, target))
        except (Exception, SystemExit) as error:  # boundary: code that is not ours
            raise UserError(
                f"task.metric: {self.name} raised {type(error).__name__}: {error}, on the answer "
                f"{answer[:60]!r} and the target {target[:60]!r}. Mend the function."
            ) from error
        number = float(result) if isinstance(result, Real | Decimal) else None
        if isinstance(result, bool) or (self.binary and number in (0, 1)):
            return float(bool(result))
        if self.binary or number is None or not -_ROUNDING <= number <= 1 + _ROUNDING:
            wanted = "a bool" if self.binary else "a bool or a number from 0 to 1"
            raise UserError(
                f"task.metric: {self.name} returned {result!r} on the answer {answer[:60]!r}. "
                f"Return {wanted}."
            )
        return min(1.0, max(0.0, number))

    @property
    def _call(self) -> object:
        """What runs where the function is an object that can be called."""
        return type(self.function).__call__


def _plain(result: object) -> object:
    """The Python number in a single value of numpy or torch; anything else as it is."""
    if getattr(result, "ndim", None) == 0 and callable(item := getattr(result, "item", None)):
        return item()
    return result


def own_metric_function(name: str, folder: Path | None = None) -> OwnMetric:
    """Imports the function that "module:function" names.

    Args:
        name: "module:function".
        folder: where `module.py` is looked for before the installed modules.

    Raises:
        UserError: it cannot be imported, or is no function.
    """
    module_name, _, function_name = name.partition(":")
    try:
        with _siblings(folder), contextlib.redirect_stdout(sys.stderr):
            module = _module(module_name, folder)
    except (Exception, SystemExit) as error:  # boundary: importing runs code that is not ours
        place = f"{folder / module_name}.py, or install it" if folder else "an installed module"
        raise UserError(
            f"task.metric: {module_name!r} of {name!r} cannot be imported "
            f"({type(error).__name__}: {error}). Put the function into {place}."
        ) from error
    function: object = getattr(module, function_name, None)
    if not callable(function):
        raise UserError(
            f"task.metric: the module {module_name!r} has no function {function_name!r}. "
            "Name one that takes (answer, target) and returns a bool or a number from 0 to 1."
        )
    return OwnMetric(name=name, function=function)


def own_metric_file(name: str, folder: Path) -> Path | None:
    """The project's file that "module:function" names; None: it is installed, or no such metric."""
    file = folder / f"{name.partition(':')[0]}.py"
    return file if ":" in name and file.is_file() else None


def _module(name: str, folder: Path | None) -> ModuleType:
    path = None if folder is None else folder / f"{name}.py"
    if path is None or not path.is_file():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(f"{_OWN}{name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look a module up by its name; ours hides no installed one.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


@contextlib.contextmanager
def _siblings(folder: Path | None) -> Generator[None]:
    """Within it, modules beside the metric's can be imported, after all installed ones."""
    before = list(sys.path)
    if folder is not None:
        sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path[:] = before
