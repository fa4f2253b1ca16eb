"""Turns a stream of plain text into rows with one `text` each."""

from collections.abc import Iterator

from tunewise.data.formats.text_stream import byte_lines, decoded
from tunewise.data.read_log import Numbered, Reading

MAX_TEXT = 1_000_000
"""Characters after which a text is cut at the next blank line, so that no file has to fit into
memory."""


def prose(chunks: Iterator[bytes], reading: Reading) -> Iterator[Numbered]:
    """The whole file as one text; a long one as several, cut at blank lines."""
    held: list[str] = []
    size = start = 0
    for number, line in enumerate(byte_lines(chunks), 1):
        text = decoded(line, number, reading)
        if text is None:
            continue
        if "\0" in text:
            reading.fault(number, "NUL", "holds a NUL character. Remove it.")
            continue
        blank = not text.strip()
        if blank and size > MAX_TEXT:
            reading.note("is long; read as several texts, cut at blank lines.")
            yield Numbered(start, {"text": "".join(held).rstrip()})
            held, size = [], 0
        if held or not blank:
            start = start if held else number
            held.append(text)
            size += len(text)
    if held:
        yield Numbered(start, {"text": "".join(held).rstrip()})
