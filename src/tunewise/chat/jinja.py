"""Fills in chat templates as transformers does, with Jinja alone.

A template comes with a model and may have been written by anyone: it runs in a sandbox, sees plain
data only, and may change none of it.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn, cast

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace


def fill_in(template: str, values: Mapping[str, object]) -> str:
    """The text of a template.

    Args:
        template: as it stands beside a model.
        values: strings, numbers, truth values, None, and lists and dicts of them.

    Raises:
        jinja2.TemplateError: it is no template, or refuses what it is given.
    """
    return _compiled(template).render(values)


@lru_cache(maxsize=16)
def _compiled(template: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Answers, loopcontrols]
    )
    open_typed = cast("Any", environment)  # its dicts hold anything
    open_typed.filters["tojson"] = _as_json
    open_typed.globals.update(
        raise_exception=_refuse,
        strftime_now=_now,
        dict=_Dict(),
        namespace=_Namespace,
    )
    return environment.from_string(template)


class _Answers(Extension):
    """`{% generation %}` marks what a model is to say; the text is what stands inside."""

    tags: set[str] = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        inside = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], inside).set_lineno(line)

    def _said(self, caller: Callable[[], str]) -> str:
        return caller()


def _as_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As it is: Jinja's own filter writes `<` and `&` as a web page wants them."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


class _Dict:
    """`dict(...)` in a template: the type itself would be a way out of the sandbox."""

    def __call__(self, *given: Any, **named: Any) -> dict[Any, Any]:
        return dict(*given, **named)

    def fromkeys(self, keys: Any, value: Any = None) -> dict[Any, Any]:
        return dict.fromkeys(keys, value)


class _Namespace(Namespace):
    """`namespace(...)` in a template, without names that begin with an underscore."""

    def __init__(*given: Any, **named: Any) -> None:
        # No name of its own for the first: a template may call one of its values `self`.
        for name in dict(*given[1:], **named):
            _refuse_hidden(name)
        Namespace.__init__(*given, **named)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_hidden(name)
        Namespace.__setitem__(self, name, value)


def _refuse_hidden(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace takes no name like {name!r}")
