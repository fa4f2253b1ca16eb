"""From what `serve --log-contents` wrote to examples: answers that people called good, or mended.

Two passes over the lines: what was said of answers, then the answers of which something was said.
Memory holds those alone.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, cast

from tunewise.data.checks.personal import without_personal_data
from tunewise.data.formats.detect import numbered_rows
from tunewise.data.formats.text_stream import opened
from tunewise.data.layouts.request_logs import logged
from tunewise.data.read_log import FileError, Reading, RowError
from tunewise.data.splitting.units import normalised_input
from tunewise.errors import UserError
from tunewise.storage import sync, write_private
from tunewise.types import Example, JsonValue, Message
from tunewise.wording import plural

Left: TypeAlias = Literal["bad", "unrated", "repeated", "several", "unreadable", "lost"]
"""Why something is no example: rated bad without a correction; never rated; the same input as an
example with newer feedback; rated good with more than one answer; no conversation with an answer;
feedback of an answer that is in no log any more."""

_LEFT: Mapping[Left, str] = {
    "unrated": "that nobody rated",
    "bad": "rated bad without a correction",
    "repeated": "with the input of another one that something was said of later",
    "several": "rated good with more than one answer",
    "unreadable": "that hold no conversation with one answer",
    "lost": "that were rated, but are no longer in the log",
}
_NO_LOG = "is no line of a log of `tunewise serve --log-contents`. It was left out."


@dataclass(frozen=True, kw_only=True, slots=True)
class FromLogs:
    """What logs gave."""

    rows: tuple[Mapping[str, JsonValue], ...]
    """Examples as `tunewise check` and `decide` read them, in the order in which they were asked:
    `messages` (the answer is the last one) and `tools`, beside them `id`, `time`, `model` (the
    version that answered) and `rated` (`good` or `corrected`)."""
    corrected: int
    """Examples whose answer is a correction."""
    masked: int
    """Examples in which personal data was masked."""
    left_out: Mapping[Left, int]
    """How many, by why."""
    faults: tuple[str, ...]
    """Lines that cannot be read: `file:line: what`, the first 20 of a kind."""
    notes: tuple[str, ...]
    """What was repaired or assumed."""

    def lines(self) -> list[str]:
        """All that a person should know, beside the rows."""
        good = len(self.rows) - self.corrected
        said = [
            f"{plural(len(self.rows), 'example')}: {good} rated good, {self.corrected} corrected."
        ]
        left = [
            f"{self.left_out[why]} {text}" for why, text in _LEFT.items() if why in self.left_out
        ]
        if left:
            said.append(f"Left out: {'; '.join(left)}.")
        if self.masked:
            said.append(
                f"Secrets or personal data masked in {plural(self.masked, 'example')}, as far as "
                "they have a form (names have none). --show-personal leaves them."
            )
        return [*self.faults, *self.notes, *said]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What was last said of an answer."""

    time: str
    place: int
    """Counts lines, for what was said at the same time."""
    good: bool
    correction: str | None

    @property
    def order(self) -> tuple[str, int]:
        return (self.time, self.place)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """An example, and what it comes from."""

    example: Example
    place: int
    time: str
    model: str
    said: _Said


@dataclass(kw_only=True, slots=True)
class _Reader:
    """Both passes over the lines."""

    reading: Reading
    said: dict[str, _Said] = field(default_factory=dict[str, "_Said"])
    """Id of an answer -> what was last said of it."""
    left: dict[Left, int] = field(default_factory=lambda: dict[Left, int]())
    understood: int = 0
    """Lines that are of a log."""

    def learn_what_was_said(self, files: Sequence[Path]) -> None:
        """The first pass."""
        for place, row in enumerate(_lines(files, self.reading)):
            of = row.get("of")
            if isinstance(of, str) and "feedback" in row:
                self._hear(of, _said(row, place))
            elif "request" not in row:
                self.reading.fault(self.reading.line, "no log", _NO_LOG)
                continue
            self.understood += 1

    def examples(self, files: Sequence[Path]) -> Iterator[_Found]:
        """The second pass; faults of lines were told in the first."""
        met: set[str] = set()
        for place, row in enumerate(_lines(files, Reading())):
            if "request" not in row:
                continue
            response = _mapping(row.get("response"))
            name = str(response.get("id"))
            said = self.said.get(name)
            if said is None:
                self._leave("unrated")
                continue
            met.add(name)
            choices = cast("Sequence[object]", response.get("choices") or ())
            if said.correction is None and (not said.good or len(choices) > 1):
                self._leave("several" if said.good else "bad")
            elif (example := _example(name, row, said)) is None:
                self._leave("unreadable")
            else:
                time, model = str(row.get("time", "")), str(row.get("model", ""))
                yield _Found(example=example, place=place, time=time, model=model, said=said)
        self._leave("lost", len(self.said.keys() - met))

    def newest(self, found: Iterable[_Found]) -> list[_Found]:
        """One example for each input: that of which something was said last."""
        kept: dict[str, _Found] = {}
        for one in found:
            same = normalised_input(one.example)
            other = kept.get(same)
            if other is not None:
                self._leave("repeated")
            if other is None or one.said.order > other.said.order:
                kept[same] = one
        return sorted(kept.values(), key=lambda one: (one.time, one.place))

    def _hear(self, answer: str, said: _Said) -> None:
        before = self.said.get(answer)
        if before is None or said.order > before.order:
            self.said[answer] = said

    def _leave(self, why: Left, count: int = 1) -> None:
        if count:
            self.left[why] = self.left.get(why, 0) + count


def examples_from_logs(logs: Sequence[Path], *, show_personal: bool = False) -> FromLogs:
    """Makes examples of the requests of which people said something good.

    Args:
        logs: files of `serve --log-contents`; of each the predecessor `NAME.1` is read too.
        show_personal: whether secrets and personal data stay as they are. Otherwise what has their
            form is masked; names have none.

    Raises:
        UserError: a file cannot be read, or no line of them.
    """
    files = _with_older(logs)
    reader = _Reader(reading=Reading())
    reader.learn_what_was_said(files)
    if not reader.understood:
        reader.reading.raise_any()
    kept = reader.newest(reader.examples(files))
    shown = [one.example if show_personal else masked(one.example) for one in kept]
    changed = [after != one.example for one, after in zip(kept, shown, strict=True)]
    return FromLogs(
        rows=tuple(_row(one, example) for one, example in zip(kept, shown, strict=True)),
        corrected=sum(one.said.correction is not None for one in kept),
        masked=sum(changed),
        left_out=reader.left,
        faults=tuple(reader.reading.lines()),
        notes=reader.reading.notes(),
    )


def masked(example: Example) -> Example:
    """The example with what looks like secrets or personal data masked, JSON still JSON."""
    return replace(
        example,
        messages=tuple(_masked_turn(turn) for turn in example.messages),
        target=_masked_text(example.target),
    )


def write_examples(file: Path, lines: Sequence[str]) -> None:
    """Writes a new file, whole or not at all, that its owner alone may read.

    Raises:
        UserError: it is there already, or cannot be written.
    """
    content = "".join(line + "\n" for line in lines).encode("utf-8", errors="replace")
    try:
        beside = write_private(file, content)
        try:
            os.link(beside, file)  # which does not replace
        finally:
            beside.unlink()
        sync(file.parent)
    except FileExistsError as error:
        raise UserError(f"--out {file}: is there already. Name a new file.") from error
    except OSError as error:
        raise UserError(f"--out {file}: cannot be written: {error.strerror}.") from error


def _with_older(logs: Sequence[Path]) -> list[Path]:
    """The files with those that they replaced, older ones first, each once."""
    files: dict[Path, None] = {}
    for log in logs:
        older = log.with_name(f"{log.name}.1")
        if older.is_file():
            files[older] = None
        files[log] = None
    return list(files)


def _lines(files: Sequence[Path], reading: Reading) -> Iterator[dict[str, object]]:
    """The lines that are JSON objects; others are faults. `reading.line` is where one stands."""
    for path in files:
        reading.begin(path)
        try:
            for line, row in numbered_rows(path, reading, as_written=True):
                reading.line = line
                if isinstance(row, dict):
                    yield cast("dict[str, object]", row)
                else:
                    reading.fault(line, "no log", _NO_LOG)
        except FileError as error:
            if not _is_empty(path):
                reading.refuse(error)


def _is_empty(path: Path) -> bool:
    """Whether a file was begun and nothing was asked since."""
    try:
        with opened(path) as stream:
            return not stream.read(1)
    except (FileError, OSError):
        return False


def _said(row: Mapping[str, object], place: int) -> _Said:
    feedback = _mapping(row.get("feedback"))
    correction = feedback.get("correction")
    return _Said(
        time=str(row.get("time", "")),
        place=place,
        good=feedback.get("rating") == "good",
        correction=correction if isinstance(correction, str) else None,
    )


def _example(name: str, row: Mapping[str, object], said: _Said) -> Example | None:
    """What a request and its answer, or the correction of it, say; None: nothing to learn from."""
    told = dict(row)
    if said.correction is not None:
        told["response"] = {"message": {"role": "assistant", "content": said.correction}}
    try:
        shaped = logged(told, Reading())
    except RowError:
        return None
    if not shaped.answers[0].strip():
        return None
    return Example(id=name, messages=shaped.messages, target=shaped.answers[0], tools=shaped.tools)


def _row(found: _Found, example: Example) -> Mapping[str, JsonValue]:
    turns = [_turn(turn) for turn in example.messages]
    row: dict[str, JsonValue] = {
        "id": example.id,
        "time": found.time,
        "model": found.model,
        "rated": "good" if found.said.correction is None else "corrected",
        "messages": [*turns, {"role": "assistant", "content": example.target}],
    }
    return {**row, "tools": list(example.tools)} if example.tools else row


def _turn(turn: Message) -> dict[str, JsonValue]:
    told: dict[str, JsonValue] = {"role": turn.role, "content": turn.content}
    if turn.role == "assistant":
        told["weight"] = 0  # nobody rated it: it is context, and not learned
    if turn.tool_calls:
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id is not None:
        told["tool_call_id"] = turn.tool_call_id
    return told


def _masked_turn(turn: Message) -> Message:
    calls = tuple(replace(call, arguments=_masked_text(call.arguments)) for call in turn.tool_calls)
    return replace(turn, content=_masked_text(turn.content), tool_calls=calls)


def _masked_text(text: str) -> str:
    shown = without_personal_data(text)
    if shown == text or not _is_container(text) or _is_container(shown):
        return shown
    # A number was masked, which is a text now.
    return json.dumps(_masked_value(json.loads(text)), ensure_ascii=False)


def _masked_value(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return without_personal_data(value)
    if isinstance(value, Mapping):
        return {key: _masked_value(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_masked_value(item) for item in value]
    written = json.dumps(value)
    shown = without_personal_data(written)
    return value if shown == written else shown


def _is_container(text: str) -> bool:
    """Whether a text is a JSON object or array."""
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _mapping(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
