"""A model behind an endpoint that may be recommended: wordings and examples in its prompt.

Searched as `prompt` and `few_shot` search the base model, the better of the two taken on dev.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tunewise.contenders.answering import FittedPrompt
from tunewise.contenders.few_shot import FewShot
from tunewise.contenders.prompt import TunedPrompt
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import Race
from tunewise.types import Example, Fit, JsonValue


@dataclass(frozen=True, kw_only=True)
class Hosted:
    """Tries wordings, then examples.

    Args:
        wordings: the search among wordings; it carries the endpoint's name.
        examples: the search among examples; the same name and engine.
    """

    wordings: TunedPrompt
    examples: FewShot

    @property
    def name(self) -> str:
        """See `Contender.name`."""
        return self.wordings.name

    def fit(self, train: Sequence[Example], race: Race) -> FittedPrompt:
        """Chooses on dev between the best wording and the best examples."""
        worded = self.wordings.fit(train, race)
        first = race.chosen.get(self.name)
        try:
            shown = self.examples.fit(train, race)
        except NotApplicable:
            return worded
        second = race.chosen.get(self.name)
        better = worded
        if (
            shown.fit.stopped is None
            and second is not None
            and (
                worded.fit.stopped is not None
                or first is None
                or race.quality(second) > race.quality(first)
            )
        ):
            better = shown
        elif first is not None:
            race.chosen[self.name] = first
        return replace(better, fit=_both(worded.fit, shown.fit, better.fit))


def _both(worded: Fit, shown: Fit, better: Fit) -> Fit:
    """The better one's choices, with what both searches took and tried."""
    tokens = {
        kind: worded.tokens.get(kind, 0) + shown.tokens.get(kind, 0)
        for kind in (*worded.tokens, *(kind for kind in shown.tokens if kind not in worded.tokens))
    }
    trials: tuple[Mapping[str, JsonValue], ...] = (*worded.trials, *shown.trials)
    return replace(better, tokens=tokens, trials=trials, seconds=worded.seconds + shown.seconds)
