"""Asks source and artefact the same held-out prompts, and says where they differ.

An artefact passes when it renders every prompt to the source's tokens, stops at every token that
ends an answer, finds the source's answers as likely where the engine can tell, and loses no more
quality than the margin. Rows without targets are scored by the source itself: an answer counts as
much as the source finds it likely beside its own (the ratio of the probabilities of a token,
geometric mean, 1 at most).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from tunewise.chat.prompts import Prompt
from tunewise.chat.template import render_prompt, speaks_tools
from tunewise.chat.tools import as_plain
from tunewise.contenders.answering import PromptStrategy
from tunewise.data.checks.personal import without_personal_data
from tunewise.errors import UserError
from tunewise.exporting.readers import Reader, Rendered
from tunewise.exporting.source import COMPARED, FIXED_TOKENS, Source
from tunewise.exporting.weights import Continued, mean_log_probabilities, opened_weights
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.models.loading import end_token_ids
from tunewise.progress import Progress
from tunewise.runs.exported import AnswerDiffers, EngineParity
from tunewise.types import Answer, Example
from tunewise.wording import percent

CLOSE = 1e-3
"""Nats a token: what sums in another order may differ by, in full precision."""
LIKELIHOOD = "likelihood of the answer beside the source's own"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One held-out prompt."""

    row: Example
    prompt: Prompt
    rendered: Rendered
    request: Request


class Comparison:
    """A source that has answered, for artefacts to be held against.

    Args:
        source: asks a model on this machine.
        progress: informed of what is being done.

    Raises:
        UserError: no prompt fits the model's context, or the source answers none.
    """

    def __init__(self, source: Source, progress: Progress) -> None:
        self._source, self._progress = source, progress
        self._strategy = _strategy(source)
        self._tokenizer = source.tokenizer
        self._ends = sorted(end_token_ids(source.local.folder, self._tokenizer))
        rows = source.held_out.rows[:COMPARED]
        everything = [self._asked(row) for row in rows]
        room = source.local.context_tokens - self._strategy.max_tokens
        self._prompts = [one for one in everything if len(one.rendered.ids) <= room]
        self.prompts, self.too_long = len(self._prompts), len(rows) - len(self._prompts)
        if not self._prompts:
            raise UserError(
                f"{source.named}: no held-out prompt fits the model's context together with its "
                "answer, so that nothing can be compared."
            )
        engine = TransformersEngine(source.local, thinking_tokens=source.thinking_tokens)
        try:
            with progress.task("the source answers", total=len(self._prompts)) as advance:
                given = engine.generate([one.request for one in self._prompts])
                advance(len(given))
        finally:
            engine.close()
        self._said = [
            self._strategy.answer(source.contender, 0, one.row.input, one.prompt, result)
            for one, result in zip(self._prompts, given, strict=True)
        ]
        self._continued = [
            Continued(one.rendered.ids, self._answer_ids(answer))
            for one, answer in zip(self._prompts, self._said, strict=True)
        ]
        with opened_weights(source.local, source.adapter) as model:
            self._likely = mean_log_probabilities(model, self._continued)

    @property
    def metric(self) -> str:
        """By what answers are scored."""
        metric = self._source.held_out.metric
        return LIKELIHOOD if metric is None else metric.name

    def through(self, reader: Reader) -> EngineParity:
        """The artefact as one engine has it, beside the source."""
        engine = reader.engine
        differ = tuple(
            one.row.id for one in self._prompts if reader.tokens(one.rendered) != one.rendered.ids
        )
        stops = reader.stops(self._prompts[0].rendered, self._ends)
        ends = {self._text(end): stop for end, stop in zip(self._ends, stops, strict=bool(stops))}
        drift = self._drift(reader)
        with self._progress.task(f"{engine} answers", total=self.prompts) as advance:
            given = reader.generate([one.request for one in self._prompts])
            advance(len(given))
        answers = [
            self._strategy.answer(self._source.contender, 0, one.row.input, one.prompt, result)
            for one, result in zip(self._prompts, given, strict=True)
        ]
        source, artefact = self._scores(self._said), self._scores(answers)
        found = EngineParity(
            engine=engine,
            rendered=sum(one.rendered.turns is not None for one in self._prompts),
            tokenised=sum(one.rendered.turns is None for one in self._prompts),
            prompts_differ=differ,
            ends=ends,
            answered=sum(answer.text is not None for answer in answers),
            source=self._quality(self._said, source),
            artefact=self._quality(answers, artefact),
            answers_differ=tuple(
                AnswerDiffers(
                    id=one.row.id,
                    source=before,
                    artefact=after,
                    said=(self._shown(then), self._shown(now)),
                )
                for one, then, now, before, after in zip(
                    self._prompts, self._said, answers, source, artefact, strict=True
                )
                if then.text != now.text
            ),
            log_probability=drift,
        )
        return replace(found, faults=tuple(self._faults(found, answers)))

    def _asked(self, row: Example) -> _Asked:
        (prompt,) = self._strategy.prompts([row.input])
        messages, tools = prompt.messages, prompt.tools
        spoken = speaks_tools(self._tokenizer, messages, tools)
        text = render_prompt(self._tokenizer, messages, tools)
        return _Asked(
            row=row,
            prompt=prompt,
            rendered=Rendered(
                text=text,
                ids=tuple(self._tokenizer.encode(text, add_special_tokens=False)),
                turns=None if spoken else as_plain(messages, tools),
            ),
            request=self._strategy.request(prompt, 0),
        )

    def _answer_ids(self, answer: Answer) -> list[int]:
        """At least one token: the end where nothing was said."""
        ids = self._tokenizer.encode(answer.text or "", add_special_tokens=False)
        return ids or self._ends[:1] or [0]

    def _text(self, token: int) -> str:
        return str(self._tokenizer.decode([token]))

    def _drift(self, reader: Reader) -> float | None:
        """Largest difference in the log-probability of the source's answers, nats a token."""
        weights = reader.weights()
        if weights is None:
            return None
        with weights as model:
            now = mean_log_probabilities(model, self._continued)
        return max(abs(a - b) for a, b in zip(now, self._likely, strict=True))

    def _scores(self, answers: Sequence[Answer]) -> list[float]:
        """(prompts,) of each answer, 0 where there is none."""
        metric = self._source.held_out.metric
        if metric is not None:
            return [
                0.0 if answer.text is None else metric.score(answer.text, one.row.target).value
                for one, answer in zip(self._prompts, answers, strict=True)
            ]
        other = [
            n
            for n, (then, now) in enumerate(zip(self._said, answers, strict=True))
            if now.text is not None and then.text != now.text
        ]
        scores = [0.0 if answer.text is None else 1.0 for answer in answers]
        if other:
            texts = [
                Continued(self._prompts[n].rendered.ids, self._answer_ids(answers[n]))
                for n in other
            ]
            with opened_weights(self._source.local, self._source.adapter) as model:
                likely = mean_log_probabilities(model, texts)
            for n, value in zip(other, likely, strict=True):
                scores[n] = min(1.0, math.exp(value - self._likely[n]))
        return scores

    def _quality(self, answers: Sequence[Answer], scores: Sequence[float]) -> float:
        metric = self._source.held_out.metric
        if metric is None or metric.aggregate is None:
            return fmean(scores)
        targets = [one.row.target for one in self._prompts]
        return metric.aggregate([answer.text or "" for answer in answers], targets)

    def _shown(self, answer: Answer) -> str:
        text = answer.error or "" if answer.text is None else answer.text
        return text if self._source.show_personal else without_personal_data(text)

    def _faults(self, found: EngineParity, answers: Sequence[Answer]) -> list[str]:
        engine, faults = found.engine, list[str]()
        if found.prompts_differ:
            faults.append(
                f"{engine}: {len(found.prompts_differ)} of {self.prompts} prompts have other "
                f"tokens than the source's, the first is {found.prompts_differ[0]}"
            )
        deaf = [end for end, stops in found.ends.items() if not stops]
        if deaf:
            faults.append(f"{engine}: an answer does not end at {', '.join(deaf)}")
        if found.log_probability is not None and found.log_probability > CLOSE:
            faults.append(
                f"{engine}: log-probabilities differ by up to {found.log_probability:.3g} a token"
            )
        crashed = [answer.error for answer in answers if answer.error]
        if crashed:
            faults.append(f"{engine}: {len(crashed)} prompts got no answer: {crashed[0]}")
        before, after = found.source or 0.0, found.artefact or 0.0
        if before - after > self._source.margin:
            faults.append(
                f"{engine}: {self.metric} is {percent(after)}, the source's {percent(before)}: "
                f"more is lost than the margin of {percent(self._source.margin)}"
            )
        return faults


def _strategy(source: Source) -> PromptStrategy:
    if source.strategy is None:
        raise ValueError(f"{source.named} asks no language model")
    limit = source.strategy.max_tokens
    if source.held_out.metric is None:
        limit = min(limit, FIXED_TOKENS)
    return replace(source.strategy, max_tokens=limit, adapters={0: source.adapter})
