"""What a step of training minimises: one small class a method, each with its paper and formula.

A step's loss is a sum over its batches, float32 scalars. What a batch has to be divided by is known
for the whole step (`Totals`), so that neither memory nor the number of processes changes the
gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, cast

import torch
from torch.nn.functional import kl_div, log_softmax, logsigmoid

from tunewise.training.attention import is_packed, plain_model
from tunewise.training.packing import Batch, pack

_ROWS_AT_ONCE = 32
"""Rows of logits that are turned into float32 together: few enough for a processor's cache."""
PreferenceLoss = Literal["sigmoid", "ipo", "orpo"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """What all batches of a step hold together, over all processes."""

    losses: int
    """Answer tokens of the rows' own sequences."""
    rows: int
    divergence: float = 0.0
    """`Kto` only: z0, nats."""


class Objective(Protocol):
    """Something to minimise."""

    @property
    def needs_reference(self) -> bool:
        """Whether rows have to bring the model's log-probabilities before training."""
        ...

    def loss(self, model: Any, batch: Batch, totals: Totals) -> torch.Tensor:
        """This batch's part of the step's loss, a float32 scalar."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Sft:
    """Mean negative log-likelihood of the answers' tokens, prompt excluded; `cpt`: of all tokens.

    L = -1/|A| sum over t in A of log p(x_t | x_<t), A all answer tokens of the step (instruction
    tuning as in Ouyang et al. 2022, arXiv:2203.02155; continued pre-training as in Gururangan et
    al. 2020, arXiv:2004.10964).
    """

    needs_reference: bool = False

    def loss(self, model: Any, batch: Batch, totals: Totals) -> torch.Tensor:
        """See `Objective.loss`; nats a token."""
        return -log_probabilities(model, batch).sum() / totals.losses


@dataclass(frozen=True, kw_only=True, slots=True)
class Dpo:
    """Learns from pairs which answer is better. Rows hold the chosen, then the rejected one.

    With h = (log p(c) - log p_ref(c)) - (log p(r) - log p_ref(r)), sums over answer tokens:

    sigmoid (Rafailov et al. 2023, arXiv:2305.18290, eq. 7; label smoothing e as in Mitchell 2023,
    "A note on DPO with noisy preferences"):
        L = -(1 - e) log s(beta h) - e log s(-beta h)
    ipo (Azar et al. 2023, arXiv:2310.12036, eq. 17, on means over tokens as its authors advise):
        L = (h - 1 / (2 beta))^2
    orpo (Hong et al. 2024, arXiv:2403.07691, eq. 6 and 7; no reference; P the exponential of the
    mean log-probability of an answer's tokens, odds(P) = P / (1 - P)):
        L = -mean log p(c) - beta log s(log odds(P_c) - log odds(P_r))

    The step's loss is the mean over its pairs; the likelihood in orpo is the mean over all chosen
    tokens of the step.
    """

    kind: PreferenceLoss = "sigmoid"
    beta: float = 0.1
    """Strength of the pull towards the reference; for orpo lambda."""
    label_smoothing: float = 0.0
    """Share of pairs taken to be labelled the wrong way round; sigmoid only."""

    @property
    def needs_reference(self) -> bool:
        """See `Objective.needs_reference`."""
        return self.kind != "orpo"

    def loss(self, model: Any, batch: Batch, totals: Totals) -> torch.Tensor:
        """See `Objective.loss`."""
        each = log_probabilities(model, batch)
        own, lengths = per_sequence(each, batch)
        if self.kind == "orpo":
            chosen, rejected = (own / lengths).view(-1, 2).unbind(1)
            odds = _log_odds(chosen) - _log_odds(rejected)
            likelihood = own.view(-1, 2)[:, 0].sum() / totals.losses
            return -likelihood - self.beta * logsigmoid(odds).sum() / totals.rows
        gains = own - references(batch, own)
        if self.kind == "ipo":
            chosen, rejected = (gains / lengths).view(-1, 2).unbind(1)
            return ((chosen - rejected - 1 / (2 * self.beta)) ** 2).sum() / totals.rows
        chosen, rejected = gains.view(-1, 2).unbind(1)
        ahead = self.beta * (chosen - rejected)
        smooth = self.label_smoothing
        pairs = -(1 - smooth) * logsigmoid(ahead) - smooth * logsigmoid(-ahead)
        return pairs.sum() / totals.rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Kto:
    """Learns from single answers, desirable or not (Ethayarajh et al. 2024, arXiv:2402.01306).

    With r = log p(y) - log p_ref(y) and z0 = max(0, mean over the step's mismatched pairs of
    log p(y') - log p_ref(y')), without gradient (section 4.1, eq. 8):
        L = lambda_w (1 - s(beta (r - z0)))    for a desirable answer
        L = lambda_u (1 - s(beta (z0 - r)))    for an undesirable one

    The step's loss is the mean over its rows.
    """

    beta: float = 0.1
    desirable_weight: float = 1.0
    """lambda_w."""
    undesirable_weight: float = 1.0
    """lambda_u."""
    needs_reference: bool = True

    def loss(self, model: Any, batch: Batch, totals: Totals) -> torch.Tensor:
        """See `Objective.loss`."""
        gains = self._gains(model, batch, 0)
        desirable = torch.tensor([row.desirable for row in batch.rows], device=gains.device)
        sign = torch.where(desirable, 1.0, -1.0)
        weight = torch.where(desirable, self.desirable_weight, self.undesirable_weight)
        value = torch.sigmoid(self.beta * sign * (gains - totals.divergence))
        return (weight * (1 - value)).sum() / totals.rows

    def divergence(self, model: Any, batch: Batch) -> float:
        """Sum over the batch's mismatched sequences of log p - log p_ref, nats."""
        with torch.no_grad():
            return float(self._gains(model, batch, 1).sum())

    def _gains(self, model: Any, batch: Batch, which: int) -> torch.Tensor:
        """(rows,) log p - log p_ref of each row's own (0) or mismatched (1) sequence."""
        some = only_sequence(model, batch, which)
        own, _ = per_sequence(log_probabilities(model, some), some)
        return own - references(batch, own).view(-1, 2)[:, which]


@dataclass(frozen=True, kw_only=True, slots=True)
class Distill:
    """The model without the long prompt learns what it says with it (context distillation).

    Rows hold the student's sequence, then the teacher's: the same answer tokens behind another
    prompt. The teacher is the same model with its adapter switched off (Askell et al. 2021,
    arXiv:2112.00861, section 2; Snell et al. 2022, arXiv:2209.15189):
        L = 1/|A| sum over t in A of KL(p_teacher(. | long, x_<t) || p_student(. | short, x_<t))
    """

    needs_reference: bool = False

    def loss(self, model: Any, batch: Batch, totals: Totals) -> torch.Tensor:
        """See `Objective.loss`; nats a token."""
        with torch.no_grad(), model.disable_adapter():
            teachers = only_sequence(model, batch, 1)
            teacher_probabilities = log_softmax(answer_logits(model, teachers).float(), dim=-1)
        students = only_sequence(model, batch, 0)
        said = log_softmax(answer_logits(model, students).float(), dim=-1)
        return kl_div(said, teacher_probabilities, log_target=True, reduction="sum") / totals.losses


def _log_odds(mean: torch.Tensor) -> torch.Tensor:
    """log(P / (1 - P)) of P = exp(mean), held just below certainty, where it has no gradient."""
    below = mean.clamp(max=-torch.finfo(mean.dtype).eps)
    return below - torch.log(-torch.expm1(below))


def only_sequence(model: Any, batch: Batch, which: int) -> Batch:
    """A batch of one sequence of each of the rows: the others need not go through the model."""
    rows = [replace(row, sequences=row.sequences[which : which + 1]) for row in batch.rows]
    return pack(rows, share=is_packed(plain_model(model))).to(str(batch.token_ids.device))


def totals_of(step: Sequence[Batch]) -> dict[bool, Totals]:
    """What the batches of a step hold: of its own rows (False), and of replayed ones (True)."""
    found: dict[bool, Totals] = {}
    for replayed in (False, True):
        rows = [row for batch in step for row in batch.rows if row.replayed == replayed]
        found[replayed] = Totals(losses=sum(row.loss_tokens for row in rows), rows=len(rows))
    return found


def answer_logits(model: Any, batch: Batch) -> torch.Tensor:
    """(losses, vocabulary) logits of the tokens that carry loss, and of no others.

    With a vocabulary of 49,152 and short answers that is most of the head's work.
    """
    plain = plain_model(model)
    if is_packed(plain):
        return plain(
            input_ids=batch.token_ids[None],
            position_ids=batch.positions[None],
            use_cache=False,
            packing=batch,
            logits_to_keep=batch.loss_at,
        ).logits.flatten(0, 1)  # picking one of one would copy their gradient
    padded: list[torch.Tensor] = []
    for group in batch.groups:
        real = torch.ones_like(group.queries)
        real[:, 1:] = group.queries.diff(dim=1)  # 0 where padding repeats the last token
        found = plain(
            input_ids=batch.token_ids[group.queries], attention_mask=real, use_cache=False
        )
        padded.append(found.logits.flatten(0, 1))
    return torch.cat(padded)[batch.places[batch.loss_at]]


def log_probabilities(model: Any, batch: Batch) -> torch.Tensor:
    """(losses,) log p of each target after what stands before it, nats, float32."""
    return cast("Any", _LogProbabilities).apply(answer_logits(model, batch), batch.targets)


class _LogProbabilities(torch.autograd.Function):
    """log p_t = z_t - log sum exp z, in float32, some rows at a time.

    The logits are the largest tensor of a step: no copy of all of them is made, and beside them
    only their gradient, in their own format, is ever there as a whole.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Args: z (losses, vocabulary), t (losses,)."""
        total = torch.cat([logits[some].float().logsumexp(-1) for some in _parts(len(logits))])
        ctx.save_for_backward(logits, targets, total)
        return logits.gather(1, targets[:, None])[:, 0].float() - total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        """dz = g (1 at t - p)."""
        logits, targets, total = ctx.saved_tensors
        of_logits = torch.empty_like(logits)
        for some in _parts(len(logits)):
            g = gradients[0][some, None]
            each = logits[some].float().sub_(total[some, None]).exp_().mul_(-g)
            of_logits[some] = each.scatter_add_(1, targets[some, None], g)
        return of_logits, None


def _parts(rows: int) -> list[slice]:
    return [slice(n, n + _ROWS_AT_ONCE) for n in range(0, rows, _ROWS_AT_ONCE)]


class PerSequence(NamedTuple):
    """(sequences,) sums over each sequence's answer tokens, and how many those are."""

    sums: torch.Tensor
    lengths: torch.Tensor


def per_sequence(each: torch.Tensor, batch: Batch) -> PerSequence:
    """Adds up (losses,) values by sequence."""
    nothing = each.new_zeros(batch.sequences)
    return PerSequence(
        sums=nothing.index_add(0, batch.owners, each),
        lengths=nothing.index_add(0, batch.owners, torch.ones_like(each)),
    )


def references(batch: Batch, like: torch.Tensor) -> torch.Tensor:
    """(sequences,) log-probabilities before training, as the rows bring them."""
    found = [value for row in batch.rows for value in row.reference]
    return torch.tensor(found, dtype=like.dtype, device=like.device)
