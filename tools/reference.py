"""Writes docs/reference from the code: every setting, every command. `--check` only compares.

python tools/reference.py          writes the pages
python tools/reference.py --check  exits with 1 where a page is not what the code says
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main

from tunewise.cli import app
from tunewise.project.schema import toml_schema

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
WRITTEN = "<!-- Written by `make reference` from the code: change it there. -->"
KINDS = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
}


def pages() -> dict[str, str]:
    """Name of a page -> its text."""
    return {
        "tunewise-toml.md": "\n".join(settings_page(toml_schema())) + "\n",
        "command-line.md": "\n".join(commands_page()) + "\n",
    }


def settings_page(schema: Mapping[str, Any]) -> Iterator[str]:
    """The tables of tunewise.toml with a row for each key."""
    yield from ("# tunewise.toml", "", WRITTEN, "")
    yield "Every key may be left out. `--set table.key=value` on the command line sets one for a"
    yield "run; a list is written as in TOML: `--set 'decision.measure=[\"retention\"]'`. `init`"
    yield "writes `tunewise.schema.json` beside the file, so that an editor knows the keys without"
    yield "a network; after an upgrade `tunewise schema > tunewise.schema.json` writes it anew."
    alone = {name: one for name, one in schema["properties"].items() if not is_table(one)}
    yield from table_of("Above all tables", "", alone)
    for name, one in schema["properties"].items():
        if is_table(one):
            keys = {key: of for key, of in one.get("properties", {}).items() if not is_table(of)}
            yield from table_of(f"[{name}]", one.get("description", ""), keys)
            further = [(key, of) for key, of in one.get("properties", {}).items() if is_table(of)]
            further += [("NAME", of) for of in one.get("patternProperties", {}).values()]
            for key, of in further:
                yield from table_of(
                    f"[{name}.{key}]", of.get("description", ""), of.get("properties", {})
                )


def is_table(one: Mapping[str, Any]) -> bool:
    """Whether a key holds keys."""
    return one.get("type") == "object"


def table_of(title: str, description: str, keys: Mapping[str, Any]) -> Iterator[str]:
    """A heading, what it is about, and its keys."""
    if not keys and not description:
        return
    yield from ("", f"## {title.replace('[', '`[').replace(']', ']`')}", "")
    if description:
        yield from (description, "")
    if keys:
        yield from ("| key | value | default | what it says |", "|---|---|---|---|")
        for key, one in keys.items():
            default = (
                f"`{json.dumps(one['default'], ensure_ascii=False)}`" if "default" in one else ""
            )
            cells = (f"`{key}`", kind_of(one), default, one.get("description", ""))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_code(value: object) -> str:
    """A value as TOML and JSON both write it."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def kind_of(one: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    for several in ("anyOf", "oneOf"):
        if several in one:
            kinds = [kind_of(each) for each in one[several] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "const" in one:
        return as_code(one["const"])
    if "enum" in one:
        return ", ".join(as_code(each) for each in one["enum"])
    if one.get("type") == "array":
        return f"list of {kind_of(one.get('items', {}))}"
    if one.get("type") == "object":
        return "table"
    bounds = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
    }
    said = [words.format(f"{one[bound]:g}") for bound, words in bounds.items() if bound in one]
    if str(one.get("pattern", "")).startswith("^https?:"):
        return "URL"
    if "pattern" in one and ":" in str(one["pattern"]):
        return "`module:function`"
    return ", ".join([KINDS.get(str(one.get("type")), "value"), *said])


def commands_page() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield from ("# The command line", "", WRITTEN, "")
    yield "Exit codes: 0 done, 1 something is wrong and said, 2 the command was written wrongly,"
    yield "130 and 143 stopped by Ctrl-C or by a request to end."
    group: Any = typer.main.get_command(app)
    context = group.make_context("tunewise", [], resilient_parsing=True)
    for name, command in commands_of(group):
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        usage = " ".join(command.collect_usage_pieces(inner))
        yield from ("", f"## {name}", "", f"`tunewise {name} {usage}`", "")
        yield " ".join((command.help or "").split())
        if hasattr(command, "commands"):
            continue
        yield from ("", "| argument or option | default | what it says |", "|---|---|---|")
        for one in command.get_params(inner):
            if getattr(one, "hidden", False) or one.name == "help":
                continue
            named = ", ".join(f"`{each}`" for each in (*one.opts, *one.secondary_opts))
            if one.param_type_name == "argument":
                named = f"`{one.metavar or one.name.upper()}`".replace("|", "\\|")
            unset = one.default is None or callable(one.default) or one.default in (False, ())
            default = "" if unset else f"`{one.default}`"
            said = " ".join((getattr(one, "help", None) or "").split())
            yield f"| {named} | {default} | {said} |".replace("  ", " ")


def commands_of(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its name, those of a group after it: `models`, `models list`."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        yield f"{before}{name}", command
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{before}{name} ")


def main() -> int:
    """Writes or compares."""
    check = sys.argv[1:] == ["--check"]
    stale: list[str] = []
    for name, text in pages().items():
        file = FOLDER / name
        if file.exists() and file.read_text("utf-8") == text:
            continue
        if check:
            stale.append(f"docs/reference/{name}")
        else:
            FOLDER.mkdir(exist_ok=True)
            file.write_text(text, "utf-8")
    if stale:
        sys.stderr.write(f"Not what the code says: {', '.join(stale)}. Run make reference.\n")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
