"""Turns the tokens of one answer, as they are generated, into text that can be shown at once.

What is shown is never taken back: no half of a character, no part of a stop string.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tunewise.chat.tokenize import ChatTokenizer
from tunewise.serving.engine.pipeline import Ranked
from tunewise.serving.engine.stops import StopFilter
from tunewise.serving.protocol import TokenLogprob

BROKEN = "\ufffd"
"""What a tokenizer puts where bytes are no character: not yet, or never."""

Reason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What can be shown now."""

    text: str
    logprobs: tuple[TokenLogprob, ...]


class Decoder:
    """Token ids in, text out, a character as soon as all of its bytes are there.

    Joined, the parts are the text of all tokens together, but for bytes that are no character:
    those are left out.
    """

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._given = 0
        """Tokens of the window whose text was given. They stay for one turn more: some tokenizers
        write a token without its space where it comes first."""

    def feed(self, token: int) -> str:
        """The text that this token completes."""
        self._window.append(token)
        text = self._new()
        if text.endswith(BROKEN):
            return ""
        self._window = self._window[self._given :]
        self._given = len(self._window)
        return text.replace(BROKEN, "")

    def flush(self) -> str:
        """What is left once nothing follows."""
        text = self._new()
        self._window, self._given = [], 0
        return text.replace(BROKEN, "")

    def _new(self) -> str:
        before = str(self._tokenizer.decode(self._window[: self._given]))
        return str(self._tokenizer.decode(self._window))[len(before) :]


class Writer:
    """One answer: its tokens, what of it was shown, and whether it is over.

    Args:
        tokenizer: the model's.
        ends: tokens that end an answer and are no part of it.
        stops: texts that do.
        limit: tokens at most.
        opened: what the prompt already says of it (a tag that opens thoughts).
        logprobs: whether they are told.

    Attributes:
        ids: its tokens, without one that ended it.
        ends: tokens that end it and are no part of it.
        finished: why it is over; None: it is not.
    """

    def __init__(
        self,
        tokenizer: ChatTokenizer,
        *,
        ends: frozenset[int],
        stops: Sequence[str],
        limit: int,
        opened: str = "",
        logprobs: bool = False,
    ) -> None:
        self.ids: list[int] = []
        self.finished: Reason | None = None
        self._tokenizer = tokenizer
        self.ends = ends
        self._limit, self._tells = limit, logprobs
        self._decoder, self._stops = Decoder(tokenizer), StopFilter(stops)
        self._opened = opened
        self._decoded, self._shown = len(opened), 0  # characters
        self._held: list[tuple[int, TokenLogprob]] = []
        """Where the text of a token begins, and what is told of it once that is shown."""

    def write(
        self,
        tokens: Sequence[int],
        logprobs: Sequence[float | None],
        ranked: Sequence[Ranked] = (),
        *,
        over: Reason | None = None,
    ) -> Shown:
        """Takes in what was generated. What comes after the end is dropped.

        Args:
            tokens: ids.
            logprobs: of each of them; None: it is not told.
            ranked: of each of them what else could stand there; or nothing at all.
            over: why nothing follows; None: its tokens and texts tell.
        """
        text, self._opened = self._stops.feed(self._opened), ""
        others = ranked or [()] * len(tokens)
        for token, logprob, ranks in zip(tokens, logprobs, others, strict=True):
            if self.finished:
                break
            text += self._take(token, logprob, ranks)
        if over and not self.finished:
            text += self._finish(over)
        self._shown += len(text)
        return Shown(text=text, logprobs=self._told())

    def _take(self, token: int, logprob: float | None, ranked: Ranked) -> str:
        if token in self.ends:
            return self._finish("stop")
        self.ids.append(token)
        if self._tells and logprob is not None:
            told = TokenLogprob(
                text=self._text(token),
                logprob=logprob,
                top=tuple((self._text(other), value) for other, value in ranked),
            )
            self._held.append((self._decoded, told))
        text = self._decoder.feed(token)
        self._decoded += len(text)
        shown = self._stops.feed(text)
        if self._stops.stopped:
            self.finished = "stop"
        elif len(self.ids) >= self._limit:
            shown += self._finish("length")
        return shown

    def _text(self, token: int) -> str:
        return str(self._tokenizer.decode([token]))

    def _finish(self, reason: Reason) -> str:
        rest = self._stops.feed(self._decoder.flush())
        self.finished = "stop" if self._stops.stopped else reason
        return rest + self._stops.flush()

    def _told(self) -> tuple[TokenLogprob, ...]:
        """Of tokens whose text has begun to be shown; of those after a stop string nothing."""
        whole = self.finished is not None and not self._stops.stopped
        told = [one for begin, one in self._held if begin < self._shown or whole]
        self._held = [] if self.finished else self._held[len(told) :]
        return tuple(told)
