"""Everything that decides what a training does, but for the rows and the base."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tunewise.training.objectives import Distill, Dpo, Kto, Objective, PreferenceLoss, Sft
from tunewise.training.precision import Precision

Method = Literal["sft", "dpo", "kto", "cpt", "distill"]
Schedule = Literal["linear", "cosine", "constant"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Two trainings with equal recipes, rows and base have equal weights, bit for bit."""

    learning_rate: float
    """Peak, of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), betas 0.9 and 0.999."""
    epochs: int
    """Epochs of the schedule: the learning rate reaches its end there."""
    batch_tokens: int
    """Tokens in one optimiser step, each row's own beginning included."""
    seed: int
    """Of the adapter's start, the order of rows and dropout."""
    method: Method = "sft"
    loss: PreferenceLoss = "sigmoid"
    """Of the method dpo."""
    beta: float = 0.1
    """Of the methods dpo and kto: how strongly the model is held to where it started."""
    label_smoothing: float = 0.0
    """Of the method dpo with the loss sigmoid: share of pairs taken to be the wrong way round."""
    adapter: str = "lora"
    """lora, rslora, dora, qlora, or full: every weight."""
    initialisation: str = "default"
    """Of the adapter, by PEFT's name: default (B is zero), gaussian, olora, pissa,
    pissa_niter_16, orthogonal."""
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    schedule: Schedule = "linear"
    """How the learning rate falls after its warm-up: to zero, or not at all."""
    warmup_share: float = 0.06
    """Part of all steps over which the learning rate rises."""
    weight_decay: float = 0.0
    replay_share: float = 0.0
    """Tokens of replayed rows in a step, as a share of the others."""
    precision: Precision | None = None
    """None: the fastest on this machine."""
    micro_tokens: int | None = None
    """Tokens that go through the model at once; None: what suits the device."""
    save_memory: bool = False
    """Computes activations a second time on the way back rather than keeping them (gradient
    checkpointing: Chen et al. 2016, arXiv:1604.06174): about a third more arithmetic."""

    def as_dict(self) -> dict[str, Any]:
        """What a person should know of it: settings of other methods and open ones left out."""
        preference = {
            "loss": self.method == "dpo",
            "beta": self.method in ("dpo", "kto"),
            "label_smoothing": self.method == "dpo" and self.loss == "sigmoid",
        }
        of_adapter = ("initialisation", "rank", "alpha", "dropout")
        belongs = {**preference, **dict.fromkeys(of_adapter, self.adapter != "full")}
        return {
            key: value
            for key, value in asdict(self).items()
            if value is not None and belongs.get(key, True)
        }

    @property
    def objective(self) -> Objective:
        """What the method minimises."""
        if self.method == "dpo":
            return Dpo(kind=self.loss, beta=self.beta, label_smoothing=self.label_smoothing)
        if self.method == "kto":
            return Kto(beta=self.beta)
        return Distill() if self.method == "distill" else Sft()
