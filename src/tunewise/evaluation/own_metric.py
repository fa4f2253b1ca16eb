"""Turns "module:function" into a judge of answers, and its faults into messages for its author.

It knows nothing of other metrics. The module is a file of the project, or an installed one.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import cast

from tunewise.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnMetric:
    """A function of the user's, checked on every call."""

    name: str
    """As written: "module:function"."""
    function: Callable[[str, str], object]

    @property
    def binary(self) -> bool:
        """Whether the function's result is annotated as bool."""
        return getattr(self.function, "__annotations__", {}).get("return") in (bool, "bool")

    def value(self, answer: str, target: str) -> float:
        """The function's judgement of one answer, 0 to 1.

        Raises:
            UserError: the function raised, or gave something else than a number from 0 to 1.
        """
        try:
            result = self.function(answer, target)
        except Exception as error:  # boundary: code that is not ours, shown to its author
            raise UserError(
                f"task.metric: {self.name} raised {type(error).__name__}: {error}, on the answer "
                f"{answer[:60]!r} and the target {target[:60]!r}. Mend the function."
            ) from error
        if isinstance(result, bool) or (self.binary and result in (0, 1)):
            return float(cast(bool, result))
        if self.binary or not isinstance(result, int | float) or not 0 <= result <= 1:
            wanted = "a bool" if self.binary else "a bool or a number from 0 to 1"
            raise UserError(
                f"task.metric: {self.name} returned {result!r} on the answer {answer[:60]!r}. "
                f"Return {wanted}."
            )
        return float(result)


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
        module = _module(module_name, folder)
    except Exception as error:  # boundary: importing runs code that is not ours
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


def _module(name: str, folder: Path | None) -> ModuleType:
    path = None if folder is None else folder / f"{name}.py"
    if path is None or not path.is_file():
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
