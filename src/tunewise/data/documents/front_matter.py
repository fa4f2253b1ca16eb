"""Takes off what only a site generator reads: front matter at the beginning, and template tags.

Front matter is dropped where it parses as keys (YAML between `---`, TOML between `+++`, JSON), as
Jekyll, Hugo and their like understand it; text between two rules is text. Of template tags
(Liquid, Jinja, Hugo's shortcodes) the text between them stays; code is left alone.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml

_FENCED = re.compile(
    r"(?P<yaml>---)[ \t]*\n(?P<keys>.*?)(?<=\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)"
    r"|(?P<toml>\+\+\+)[ \t]*\n(?P<toml_keys>.*?)(?<=\n)\+\+\+[ \t]*(?:\n|\Z)",
    re.DOTALL,
)
_MAX_LENGTH = 50_000
"""Characters of YAML that are parsed: what is longer is no front matter."""
_KEY = re.compile(r"[\w@$][\w@$.:/-]*(?: [\w@$./-]+){0,2}")
"""A name of one to three words."""
_LOOKS_LIKE_KEYS = re.compile(r"(?:[\w.-]+[ \t]*:(?:[ \t].*)?|[ \t]+.*|-[ \t].*|#.*|[ \t]*)")
_TITLE_LINE = re.compile(r"^title[ \t]*:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_CAPITAL_KEYS = frozenset(
    {"Title", "Subtitle", "Date", "Author", "Authors", "Tags", "Category", "Categories", "Slug",
     "Summary", "Status", "Layout", "Modified", "Lang", "Keywords"}
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Parted:
    """A text without its front matter."""

    title: str
    """What the front matter says it is; empty if it does not, or there is none."""
    rest: str
    dropped: bool
    """Whether there was front matter."""


def part_front_matter(text: str) -> Parted:
    """Takes the front matter off a text whose lines end in LF."""
    found = _FENCED.match(text)
    if found is None:
        return _part_json(text)
    rest = text[found.end() :]
    if found["toml"]:
        try:
            keys: Mapping[str, Any] | None = tomllib.loads(found["toml_keys"])
        except tomllib.TOMLDecodeError:
            keys = None
    else:
        keys = _yaml_keys(found["keys"])
    if keys is None:
        return Parted(title="", rest=text, dropped=False)
    return Parted(title=_title(keys), rest=rest, dropped=True)


def _part_json(text: str) -> Parted:
    if re.match(r"\{\s*\n?\s*\"", text):
        try:
            keys, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            keys, end = None, 0
        rest = text[end:]
        if isinstance(keys, dict) and rest.startswith("\n") and rest.strip():
            return Parted(title=_title(cast("dict[str, Any]", keys)), rest=rest, dropped=True)
    return Parted(title="", rest=text, dropped=False)


def _yaml_keys(text: str) -> Mapping[str, Any] | None:
    """The keys; None where it is no front matter but text between two rules."""
    if not text.strip():
        return {}
    if len(text) > _MAX_LENGTH:
        return None
    try:
        keys: object = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        # "title: Tents: a guide" and templates in values are no YAML, but meant as keys.
        lines = text.split("\n")
        if not all(_LOOKS_LIKE_KEYS.fullmatch(line) for line in lines):
            return None
        names = [line.partition(":")[0] for line in lines if line[:1].isalpha()]
        if not _are_keys(names):
            return None
        title = _TITLE_LINE.search(text)
        return {"title": title[1].strip("\"'") if title else ""}
    if not isinstance(keys, dict):
        return None
    named = cast("dict[object, Any]", keys)
    if not all(isinstance(key, str) for key in named) or not _are_keys([str(k) for k in named]):
        return None
    return {str(key): value for key, value in named.items()}


def _are_keys(names: list[str]) -> bool:
    """Whether these name settings; "Note: we are closed" between two rules is a sentence."""
    written_small = [n for n in names if n[:1] == n[:1].lower() or n in _CAPITAL_KEYS]
    one_word = any(" " not in name for name in written_small)
    return one_word and all(_KEY.fullmatch(name) for name in names)


def _title(keys: Mapping[str, Any]) -> str:
    for name in ("title", "Title"):
        value = keys.get(name)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return " ".join(str(value).split())
    return ""


# --- template tags --------------------------------------------------------------------------------

_CODE = r"(?P<code>^ {0,3}(?P<fence>```+|~~~+)[^\n]*\n.*?(?:^ {0,3}(?P=fence)[^\n]*$|\Z)|`[^`\n]+`)"
_RAW = r"(?P<raw>\{%-?\s*raw\s*-?%\}(?P<kept>.*?)\{%-?\s*endraw\s*-?%\})"
_COMMENT = r"(?P<comment>\{%-?\s*comment\b.*?\{%-?\s*endcomment\s*-?%\}|\{# [^{}]*? #\}|<!--.*?-->)"
_LISTING = r"(?P<listing>\{%-?\s*highlight\b[^%]*%\}\n?(?P<lines>.*?)\{%-?\s*endhighlight\s*-?%\})"
_TAG = r"(?P<tag>\{%-?[^\n{}][^{}]*?-?%\}|\{\{[<%].*?[%>]\}\}|^\{:[^{}\n]*\}[ \t]*$)"
_VALUE = r"(?P<value>\{\{[^{}]*\}\})"
_TAGS = re.compile("|".join((_CODE, _RAW, _COMMENT, _LISTING, _TAG)), re.DOTALL | re.MULTILINE)
_TAGS_AND_VALUES = re.compile(
    "|".join((_CODE, _RAW, _COMMENT, _LISTING, _TAG, _VALUE)), re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Untagged:
    """A text without its template tags."""

    text: str
    dropped: bool
    """Whether there were any."""


def without_tags(text: str, *, values: bool) -> Untagged:
    """Takes out template tags and comments; code and the text between tags stay.

    Args:
        text: Markdown whose lines end in LF.
        values: whether `{{ page.title }}` is a tag too. Generators fill it in only in files with
            front matter; elsewhere it is more likely what the text is about.
    """
    dropped = False

    def replaced(found: re.Match[str]) -> str:
        nonlocal dropped
        if found["code"] is not None:
            return found[0]
        if found["raw"] is not None:
            return found["kept"]
        if found["listing"] is not None:
            return f"```\n{found['lines'].rstrip()}\n```"
        dropped = dropped or found["comment"] is None
        return ""

    text = (_TAGS_AND_VALUES if values else _TAGS).sub(replaced, text)
    return Untagged(text=text, dropped=dropped)
