"""Shows a person two answers at a time in a terminal, and takes which is better."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from tunewise.report.judged import agreement_sentence
from tunewise.runs.judged import Agreement
from tunewise.runs.pairs import NOTHING, Pair, Pairs
from tunewise.wording import count, plural

Key = Literal["left", "right", "tie", "skip", "undo", "quit"]
KEYS: tuple[Key, ...] = ("left", "right", "tie", "skip", "undo", "quit")
"""What a person may type, or the first letter of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How far a person has come."""

    rated: int
    wanted: int
    """Pairs to be rated before a judge is believed."""
    left: int
    """Pairs not looked at yet."""
    agreement: Agreement | None
    """With the judge, where one has judged; it does not tell who is ahead."""


class Screen(Protocol):
    """What shows pairs and takes what a person says."""

    def begin(self, pairs: Pairs, criteria: Mapping[str, str], standing: Standing) -> None:
        """Says what is asked."""
        ...

    def ask(self, pair: Pair, left: str, right: str, standing: Standing) -> Key:
        """Shows two answers and takes one key; `quit` where nothing more can be read."""
        ...

    def say(self, text: str) -> None:
        """One sentence."""
        ...

    def end(self, standing: Standing) -> None:
        """Says how far it has come."""
        ...


class TerminalScreen:
    """A terminal, a line typed for each pair.

    Args:
        console: where to show.
        read: takes a prompt, gives what was typed; raises EOFError where there is no more.
    """

    def __init__(self, console: Console, read: Callable[[str], str] = input) -> None:
        self._console, self._read = console, read

    def begin(self, pairs: Pairs, criteria: Mapping[str, str], standing: Standing) -> None:
        """See `Screen.begin`."""
        self.say(
            "Two answers at a time to the same request, unnamed and in random order: say which one "
            "is better. Every rating is kept at once; the same command goes on later."
        )
        if pairs.instruction:
            self.say(f"The task: {pairs.instruction}")
        for name, meaning in criteria.items():
            self.say(f"  {name}: {meaning}")
        self.say(_progress(standing))

    def ask(self, pair: Pair, left: str, right: str, standing: Standing) -> Key:
        """See `Screen.ask`."""
        number = f"{count(standing.rated)} of {plural(standing.wanted, 'pair')} rated"
        self._console.print(Rule(Text(number), align="left"))
        for title, text in (
            ("request", pair.row.input),
            *(("from the documents", passage) for passage in pair.passages),
            ("a good answer, as your data has it", pair.row.target),
            ("LEFT", left or NOTHING),
            ("RIGHT", right or NOTHING),
        ):
            self._console.print(Text(title, style="bold" if title.isupper() else "dim"))
            self._console.print(Text(f"{text}\n"))
        while True:
            try:
                typed = self._read("[l]eft, [r]ight, [t]ie, [s]kip, [u]ndo or [q]uit: ")
            except EOFError:
                return "quit"
            typed = typed.strip().lower()
            for key in KEYS:
                if typed in (key, key[0]):
                    return key
            self.say("Type one of the letters l, r, t, s, u or q, and Enter.")

    def say(self, text: str) -> None:
        """See `Screen.say`."""
        self._console.print(Text(text))

    def end(self, standing: Standing) -> None:
        """See `Screen.end`."""
        self.say(_progress(standing))
        if standing.agreement is not None:
            self.say(agreement_sentence(standing.agreement))
        if standing.rated >= standing.wanted:
            self.say("Enough to hold a judge to: `tunewise rate RUN --judge` has it judge all.")


def _progress(standing: Standing) -> str:
    return (
        f"{count(standing.rated)} of the {plural(standing.wanted, 'pair')} that are wanted are "
        f"rated; {count(standing.left)} not looked at yet."
    )
