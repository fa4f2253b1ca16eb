"""Turns `tunewise.toml` and `key=value` overrides into tables whose values are read by type.

Faults are collected with the line their key stands on. It knows nothing of what the keys mean,
nor of which of them belong together.
"""

import difflib
import glob
import os
import re
import tomllib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from tunewise.errors import UserError
from tunewise.project.settings import AUTO, Auto, Sources

FILE_NAME = "tunewise.toml"
_MISSING = object()
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w-]*(\.[\w-]*\d[\w-]*)*")
"""`owner/name`; what follows a dot holds a digit, as in v1.5: a file's ending hardly does."""
_HUB_DATA = re.compile(r"hf://datasets/[A-Za-z0-9][\w.-]*/[\w.-]+(@[^/\s]+)?(/\S+)?")

Key = tuple[str, ...]
"""The parts of a dotted key."""


class Faults:
    """Collects faults of one configuration, each with the line its key stands on."""

    def __init__(self, source: Path, text: str) -> None:
        self.source = source
        self.lines = _key_lines(text)
        self.overridden: set[Key] = set()
        self.options: dict[Key, str] = {}
        """Of those, the ones that an option of the command gave -> its name, as in `--seed`."""
        self._found: list[tuple[int, str]] = []

    def add(self, key: Key, what: str) -> None:
        """Notes that `key` is wrong: `what` says what is wrong and what to do."""
        name = ".".join(key)
        inside = any(key[:n] in self.overridden for n in range(1, len(key) + 1))
        around = any(other[: len(key)] == key for other in self.overridden)
        if inside or (around and key not in self.lines):
            option = self.options.get(key)
            said = f"{option} ({name})" if option else f"--set {name}"
            self._found.append((0, f"{said}: {what}"))
            return
        known = (key[:n] for n in range(len(key), 0, -1) if key[:n] in self.lines)
        line = self.lines.get(next(known, ()), 1)
        self._found.append((line, f"{self.source}:{line}: {name}: {what}"))

    def raise_any(self) -> None:
        """Raises all faults as one UserError, in the order of the file."""
        if self._found:
            raise UserError.together([what for _, what in sorted(self._found)])


class Table:
    """Reads typed values out of one table; what is wrong goes to `faults`, a default comes back."""

    def __init__(self, values: Mapping[str, object], path: Key, root: Path, faults: Faults):
        self.values = values
        self.path = path
        self.root = root
        self.faults = faults
        self.asked: list[str] = []

    def fault(self, key: str, what: str) -> None:
        """Notes that `key` of this table is wrong: `what` says what is wrong and what to do."""
        self.faults.add((*self.path, key), what)

    def _get(self, key: str) -> object:
        self.asked.append(key)
        return self.values.get(key, _MISSING)

    def text(self, key: str) -> str | None:
        """A text that is not blank."""
        value = self._get(key)
        if value is _MISSING:
            return None
        if not isinstance(value, str) or not value.strip():
            self.fault(key, f"must be a text, not {_shown(value)}. Write it in quotes.")
            return None
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """One of the words allowed."""
        value = self.text(key)
        if value is None or value in allowed:
            return value or default
        self.fault(key, f'"{value}" is unknown. {suggest(value, allowed)}')
        return default

    def number(self, key: str, low: float, high: float) -> float | None:
        """A number from low to high."""
        value = self._get(key)
        if value is _MISSING:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fault(key, f"must be a number, not {_shown(value)}. Write one without quotes.")
        elif not low <= value <= high:
            self.fault(key, f"is out of range. Choose from {low:g} to {high:g}.")
        else:
            return float(value)
        return None

    def integer(self, key: str, low: int, high: int) -> int | None:
        """A whole number from low to high."""
        value = self._get(key)
        if value is _MISSING:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, f"must be a whole number, not {_shown(value)}. Write it as 3.")
        elif not low <= value <= high:
            self.fault(key, f"is out of range. Choose from {low} to {high}.")
        else:
            return value
        return None

    def is_auto(self, key: str) -> bool:
        """Whether the key says "auto", or nothing."""
        automatic = self.values.get(key, AUTO) == AUTO
        if automatic:
            self.asked.append(key)
        return automatic

    def flag(self, key: str) -> bool:
        """True or false; nothing is false."""
        value = self._get(key)
        if value is _MISSING or isinstance(value, bool):
            return value is True
        self.fault(key, f"must be true or false, not {_shown(value)}. Write it without quotes.")
        return False

    def flag_or_auto(self, key: str) -> bool | Auto:
        """True, false or "auto"; nothing is "auto"."""
        value = self._get(key)
        if value is _MISSING or value == AUTO:
            return AUTO
        if isinstance(value, bool):
            return value
        self.fault(key, f'must be true, false or "auto", not {_shown(value)}.')
        return AUTO

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of texts, none blank and none twice."""
        value = self._get(key)
        if value is _MISSING:
            return None
        items = cast(list[object], value) if isinstance(value, list) else [None]
        words = tuple(item for item in items if isinstance(item, str) and item.strip())
        if len(words) < len(items):
            self.fault(key, 'must be a list of texts, none empty. Write it as ["a", "b"].')
            return None
        if repeated := [word for word, n in Counter(words).items() if n > 1]:
            self.fault(key, f'names "{repeated[0]}" more than once. Remove the repetition.')
        return words

    def place(self, key: str) -> Path | None:
        """A file or folder that must exist; comes back absolute."""
        value = self.text(key)
        return None if value is None else self.existing(key, value)

    def places(self, key: str) -> tuple[Path, ...] | None:
        """Files and folders that must exist: one text or a list, patterns resolved."""
        found = self._sources(key, hub=False)
        return None if found is None else tuple(Path(place) for place in found)

    def sources(self, key: str) -> Sources | None:
        """Files, folders and data sets on the hub: one text or a list, patterns resolved."""
        return self._sources(key, hub=True)

    def _sources(self, key: str, *, hub: bool) -> Sources | None:
        value = self._get(key)
        if value is _MISSING:
            return None
        named = cast(list[object], value) if isinstance(value, list) else [value]
        texts = [text for text in named if isinstance(text, str) and text.strip()]
        if len(texts) < len(named) or not texts:
            what = "must be the name of a file, or a list of names. Write it in quotes."
            self.fault(key, what)
            return None
        return tuple(found for text in texts for found in self._source(key, text, hub=hub))

    def _source(self, key: str, text: str, *, hub: bool) -> Sequence[Path | str]:
        tried = self._tried(key, text)
        if any(os.path.exists(name) for name in tried):
            return [Path(next(name for name in tried if os.path.exists(name)))]
        if hub and _HUB_DATA.fullmatch(text):
            return [text]
        if re.search(r"[*?\[]", text):
            for pattern in tried:
                if found := sorted(glob.glob(pattern, recursive=True)):
                    return [Path(name) for name in found if os.path.isfile(name)]
            self.fault(key, f"no file matches {tried[0]}. Check the pattern and the folder.")
            return []
        owner = os.path.dirname(tried[0])
        if hub and _HUB_ID.fullmatch(text) and not os.path.isdir(owner):
            return [f"hf://datasets/{text}"]
        return [found] if (found := self.existing(key, text)) else []

    def existing(self, key: str, value: str) -> Path | None:
        """The absolute path of `value`, the text under `key`, which must exist."""
        tried = self._tried(key, value)
        found = next((Path(name) for name in tried if os.path.exists(name)), None)
        if found is None:
            self.fault(key, f"{tried[0]} does not exist. Check the name and the folder.")
        return found

    def _tried(self, key: str, value: str) -> list[str]:
        """Where `value`, the text under `key`, may lie."""
        # What is typed at a prompt is relative to where the person stands.
        starts = [self.root]
        if (*self.path, key) in self.faults.overridden:
            starts.insert(0, Path.cwd())
        return [os.path.abspath(start / os.path.expanduser(value)) for start in starts]

    def close(self) -> None:
        """Reports the keys that nobody asked for."""
        for key in self.values.keys() - set(self.asked):
            self.fault(key, f"unknown key. {suggest(key, self.asked)}")


class ProjectFile(NamedTuple):
    """What a project is read from."""

    source: Path
    """The file itself, where a folder was named."""
    text: str
    """Its TOML; empty for a data file."""
    values: dict[str, object]
    """The tables and keys at its top."""


def read_project_file(path: Path) -> ProjectFile:
    """Reads a folder's `tunewise.toml`, that file, or the name of a data file as a project of it.

    Raises:
        UserError: it does not exist, cannot be read, or is not TOML.
    """
    if not os.path.exists(path):
        raise UserError(f"{path}: does not exist. Name a project folder or a data file.")
    source = path / FILE_NAME if os.path.isdir(path) else path
    if not os.path.isfile(source):
        raise UserError(
            f"{path}: holds no {FILE_NAME}. Let `tunewise init {path}` write one, or name a data "
            "file such as examples.jsonl instead."
        )
    if source.suffix != ".toml":
        return ProjectFile(source, "", {"data": {"examples": source.name}})
    text = ""
    try:
        text = source.read_bytes().decode("utf-8-sig")
        return ProjectFile(source, text, tomllib.loads(text))
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror}). Check its rights.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{source}:{line}: is not UTF-8. Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at line (\d+), column \d+\)$", str(error))
        line = int(where.group(1)) if where else text.count("\n") + 1
        what = re.sub(r" \(at .*\)$", "", str(error))
        raise UserError(f"{source}:{line}: is not TOML: {what}. Mend that line.") from None
    except (ValueError, RecursionError):
        raise UserError(
            f"{source}: holds a number too long or lists too deep to read. Shorten it."
        ) from None


def apply_override(
    override: str, values: dict[str, object], faults: Faults, text_keys: Collection[Key]
) -> None:
    """Writes one `key=value` into the tables.

    Args:
        override: the value is TOML; what is no TOML value is taken as text.
        values: the tables, which change.
        faults: gets a value that cannot be taken, and which keys were overridden.
        text_keys: keys whose value is a text whatever it looks like, such as `2024`.

    Raises:
        UserError: the override is not written as key=value (exit code 2).
    """
    name, equals, raw = override.partition("=")
    key = tuple(part.strip() for part in name.split("."))
    if not equals or not all(key):
        raise UserError(
            f'--set {override}: must be key=value, such as "training.epochs=2".', exit_code=2
        )
    faults.overridden.add(key)
    value: object = raw
    try:
        parsed = tomllib.loads(f"value = {raw}")
        raw.encode()
    except UnicodeEncodeError:
        return faults.add(key, "holds bytes that are no UTF-8. Type it again.")
    except (ValueError, RecursionError):
        parsed = {}
    given = cast(object, parsed["value"]) if parsed.keys() == {"value"} else None
    if given is not None and (key not in text_keys or type(given) in (str, list)):
        value = given
    table = values
    for part in key[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            return faults.add(key, f'"{part}" is no table. Check the key.')
        table = cast(dict[str, object], inner)
    table[key[-1]] = value
    return None


def _key_lines(text: str) -> dict[Key, int]:
    """The line on which each key or table header first stands; tomllib does not tell."""
    lines: dict[Key, int] = {}
    table: Key = ()
    inside: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if inside is None:
            if header := re.match(r"\s*\[+([^\]]+)\]", line):
                table = _key_parts(header.group(1))
                lines.setdefault(table, number)
            elif entry := re.match(r"""\s*((?:[\w.-]|"[^"]*"|'[^']*'|\s)+?)\s*=""", line):
                lines.setdefault((*table, *_key_parts(entry.group(1))), number)
        for quotes in re.findall(r'"""|' + "'''", line):
            inside = quotes if inside is None else None if inside == quotes else inside
    return lines


def _key_parts(dotted: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def suggest(word: str, known: Sequence[str]) -> str:
    """What to do about an unknown word: the known one it is near to, or all of them."""
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else f"Choose from: {', '.join(known)}."


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value[:40]}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else str(value)
