"""What a run is made from: its settings, and what it read, row by row as hashes.

Two of them compared give the sentences that tell a person, who wants to go on with a run, what
changed in between.
"""

import hashlib
import json
import time
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from tunewise.data.fingerprints import INPUT_DIGITS
from tunewise.errors import UserError
from tunewise.storage import write_json

MADE_FROM = "made-from.json"
BASE = "the base model"
"""What `MadeFrom.files` calls it."""
SEALED = "sealed"
"""Side of rows that nothing is learnt from or chosen by here: told of, but no reason to refuse."""
_SHOWN = 60
"""Characters of a setting's value in a sentence."""


class Item(NamedTuple):
    """A row, a pair or a document."""

    id: str
    content: str
    """Its hash; that of a row begins with the hash of its input."""
    side: str = ""
    """train, dev, ...; empty where there is one side alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeFrom:
    """What a run read."""

    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """What else decides the result -> its hash: the base model, an adapter to go on from."""
    items: Mapping[str, Sequence[Item]] = field(default_factory=dict[str, Sequence[Item]])
    """Name of a file or folder -> what was read there, in order."""
    read_as: str = ""
    """Hash of what was made of the items: it tells of another version that reads them otherwise."""
    unit: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same name -> what its items are, if not rows: `pair` or `document`."""

    def write(self, folder: Path) -> None:
        """Keeps it in a run folder, with the time."""
        kept = {"time": time.strftime("%Y-%m-%d %H:%M"), **asdict(self)}
        write_json(folder / MADE_FROM, kept)

    def changes_since(self, folder: Path) -> list[str]:
        """What is not as a run folder keeps it, as half sentences; empty: all is the same.

        Raises:
            UserError: what the folder keeps is damaged.
        """
        file = folder / MADE_FROM
        if not file.exists():
            return ["its rows were not written down, by an earlier version of Tunewise"]
        try:
            kept = cast("dict[str, Any]", json.loads(file.read_text("utf-8")))
            files = cast("dict[str, str]", kept["files"])
            before = {name: [Item(*i) for i in items] for name, items in kept["items"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                f"{file}: is damaged. Name another folder with --out to begin anew."
            ) from None
        changes = changed_items(before, self.items, self.unit | kept.get("unit", {}))
        changes += [
            f"{name} is another than it was"
            for name in {**files, **self.files}
            if files.get(name) != self.files.get(name)
        ]
        if not changes and kept.get("read_as") != self.read_as:
            return ["the same rows are read otherwise, by another version of Tunewise"]
        return changes


def same_model(folder: Path, other: Path, base: str) -> bool:
    """Whether a run in `folder` asked the model, with the [model] settings, that `other` asks.

    Of several bases, the first is meant.

    Args:
        folder: of a run that was begun.
        other: of a run that has its settings, but has perhaps not kept what it is made from yet.
        base: hash of the base model that `other` asks.
    """
    try:
        settings = [
            tomllib.loads((one / "project.toml").read_text("utf-8"))["model"]
            for one in (folder, other)
        ]
        for model in settings:
            model["base"] = model["base"] if isinstance(model["base"], str) else model["base"][0]
        kept = cast("dict[str, Any]", json.loads((folder / MADE_FROM).read_text("utf-8")))
        return settings[0] == settings[1] and kept["files"][BASE] == base
    except (OSError, ValueError, KeyError, TypeError):
        return False


def base_of(folder: Path, label: str = "") -> str | None:
    """The hash of a base model that a run asked; None where it was not written down.

    Args:
        folder: of the run.
        label: short name of another base than the first.
    """
    try:
        kept = cast("dict[str, Any]", json.loads((folder / MADE_FROM).read_text("utf-8")))
        return str(kept["files"][f"{BASE} {label}" if label else BASE])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def documents_of_run(folder: Path) -> dict[str, str]:
    """Name of a document that a run read -> hash of its text; empty where it kept none."""
    try:
        kept = cast("dict[str, Any]", json.loads((folder / MADE_FROM).read_text("utf-8")))
        names = [name for name, unit in kept["unit"].items() if unit == "document"]
        return {str(one[0]): str(one[1]) for name in names for one in kept["items"][name]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return {}


def when_begun(folder: Path) -> str:
    """When what a run is made from was written down, for a person; empty if it was not."""
    try:
        kept = cast("dict[str, Any]", json.loads((folder / MADE_FROM).read_text("utf-8")))
        return str(kept["time"])
    except (OSError, ValueError, KeyError):
        return ""


def changed_items(
    before: Mapping[str, Sequence[Item]],
    now: Mapping[str, Sequence[Item]],
    unit: Mapping[str, str] | None = None,
) -> list[str]:
    """`rows.jsonl: 6 rows are new, 1 row changed` for each name whose items are others."""
    found: list[str] = []
    for name in {**before, **now}:
        old, new = before.get(name, ()), now.get(name, ())
        if _used(old) == _used(new):
            continue
        one = (unit or {}).get(name, "row")
        counts = count_changes(old, new)
        said = [
            f"{n:,} {one if n == 1 else f'{one}s'} {verb if n == 1 else verbs}"
            for n, verb, verbs in (
                (counts.added, "is new", "are new"),
                (counts.removed, "is gone", "are gone"),
                (counts.changed, "changed", "changed"),
            )
            if n
        ]
        moved = Counter(_used(old)) != Counter(_used(new))
        other = f"its {one}s are {'divided otherwise' if moved else 'in another order'}"
        found.append(f"{name}: {', '.join(said) or other}")
    return found


def _used(items: Sequence[Item]) -> list[tuple[str, str]]:
    return [(item.content, item.side) for item in items if item.side != SEALED]


class Counts(NamedTuple):
    """How many items came, went, or are there with another content."""

    added: int
    removed: int
    changed: int
    """Under the same id, or with another answer to the same input."""


def count_changes(before: Sequence[Item], now: Sequence[Item]) -> Counts:
    """Compares by content, whatever the side."""
    gone, come = _beyond(before, now), _beyond(now, before)
    ids = {item.id for item in gone} & {item.id for item in come}
    inputs = [
        Counter(item.content[:INPUT_DIGITS] for item in items if item.id not in ids)
        for items in (gone, come)
    ]
    changed = len(ids) + (inputs[0] & inputs[1]).total()
    return Counts(len(come) - changed, len(gone) - changed, changed)


def _beyond(items: Sequence[Item], others: Sequence[Item]) -> list[Item]:
    """Those whose content the others do not have, or not so often."""
    left = Counter(item.content for item in others)
    found: list[Item] = []
    for item in items:
        if left[item.content]:
            left[item.content] -= 1
        else:
            found.append(item)
    return found


def text_hash(text: str) -> str:
    """16 hex digits over a text."""
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]


def changed_settings(before: str, now: str) -> list[str]:
    """`training.epochs was 2 and is 3` for each key that differs.

    Args:
        before: a resolved project, as a run folder keeps it.
        now: the one to compare. Paths below the project's folder count as the same wherever it
            lies. `[judge]` is left out: it takes part in no run, only in what comes after one.
    """
    try:
        old, new = (_flat(_wherever_it_lies(toml)) for toml in (before, now))
    except tomllib.TOMLDecodeError:
        return ["its settings cannot be read"]
    return [
        f"{key} {_was(old.get(key))} and {_is(new.get(key))}"
        for key in {**old, **new}
        if old.get(key) != new.get(key) and not key.startswith("judge.")
    ]


def _wherever_it_lies(toml: str) -> dict[str, Any]:
    """A resolved project with the paths below its root made relative: its folder may have moved."""
    root = toml.partition("\n")[0].removeprefix('root = "').removesuffix('"')
    return tomllib.loads(toml.replace(f'"{root}/', '"').replace(f'"{root}"', '"."'))


def _flat(table: Mapping[str, Any], path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _flat(cast("dict[str, Any]", value), f"{path}{key}.")
        else:
            found[f"{path}{key}"] = value
    return found


def _was(value: object) -> str:
    return "was not set" if value is None else f"was {_shown(value)}"


def _is(value: object) -> str:
    return "is not set now" if value is None else f"is {_shown(value)} now"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
