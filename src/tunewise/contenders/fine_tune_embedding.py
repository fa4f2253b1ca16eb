"""Searches by meaning with an embedding model that was tuned on the project's own questions.

How many epochs, and whether words count beside meaning, is chosen on dev.
"""

import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter

from tunewise.contenders.protocol import Fitted, NotApplicable
from tunewise.contenders.race import Race
from tunewise.contenders.ranking import FittedRanker, ranked
from tunewise.errors import UserError
from tunewise.metrics.by_name import Metric, quality
from tunewise.progress import Progress
from tunewise.project.contenders import EMBEDDING_TUNED
from tunewise.project.settings import TrainingSettings
from tunewise.retrieval.embed import SentenceEmbedder, load_embedder, quietly
from tunewise.retrieval.index import Index, Mode
from tunewise.retrieval.shelf import Shelf
from tunewise.storage import replaced_folder, write_json
from tunewise.text.comparison import comparable
from tunewise.text.rankings import is_meant, read_ranking
from tunewise.training.embedding import EmbeddingEpoch, EmbeddingRecipe, Triplet, tune_embedding
from tunewise.types import Example, Fit, JsonValue

WORDS = 120
"""Of a passage, in training and in search."""
HARD = 8
"""Passages that the untuned model liked best and that answer nothing: a negative is one of them."""
MODES: tuple[Mode, ...] = ("dense", "hybrid")


@dataclass(frozen=True, kw_only=True)
class FineTuneEmbedding:
    """Trains on train, chooses on dev.

    Args:
        metric: the primary one.
        shelf: what is ranked.
        base: folder or hub id of the model that is tuned; None: the default one.
        settings: of the training: learning rate, epochs; the others are the language model's.
        folder: where trained models are kept.
        progress: told of the steps.
        base_seed: decides which of the hard negatives are taken.
    """

    metric: Metric
    shelf: Shelf
    base: str | None
    settings: TrainingSettings
    folder: Path
    progress: Progress
    base_seed: int = 0
    name: str = EMBEDDING_TUNED
    clock: Callable[[], float] = field(default=time.perf_counter)

    def untrainable(self, train: Sequence[Example]) -> Mapping[str, str]:
        """None: what an example names was looked up when the project was read."""
        return {}

    def fit(self, train: Sequence[Example], race: Race) -> FittedRanker:
        """Trains the first seed; the epoch and the mode that are best on dev ship.

        Raises:
            NotApplicable: the extra `dense` is missing, or the model is not on this machine.
        """
        began = self.clock()
        triplets = self._triplets(train)
        recipe = EmbeddingRecipe.of(self.settings)
        place, points = self._place(1), list[_Point]()

        def after(epoch: EmbeddingEpoch) -> None:
            index = self._index(SentenceEmbedder(str(place), epoch.model))
            for mode in MODES:
                point = self._on_dev(epoch, index, mode, race)
                if not points or point.value > max(one.value for one in points):
                    _save(epoch, place)
                points.append(point)

        kept = self._kept(1, triplets, recipe)
        if kept is None:
            self._train(triplets, recipe, seed=1, after=after)
            self._keep(1, triplets, recipe, points)
        else:
            points += kept
        best = max(points, key=lambda point: point.value)
        return FittedRanker(
            indexes={1: self._index(load_embedder(place))},
            mode=best.mode,
            clock=self.clock,
            fit=Fit(
                contender=self.name,
                settings={
                    "search": best.mode,
                    "passage_words": WORDS,
                    "embedder": self.base or load_embedder().name,
                    "learning_rate": recipe.learning_rate,
                    "epochs": best.epoch,
                    "of_epochs": recipe.epochs,
                    "triplets": len(triplets),
                    "seeds": 1,
                },
                seconds=self.clock() - began,
                tokens={"prefilled": 0, "generated": 0, "trained": points[-1].tokens},
                dev_answers={1: best.answers},
                artifact={1: str(place)},
                trials=tuple(point.told(len(race.dev)) for point in points),
            ),
        )

    def replicate(
        self, fitted: Fitted, train: Sequence[Example], race: Race, *, seeds: int
    ) -> FittedRanker:
        """Trains seeds 2 to n with the first one's schedule, epochs and mode."""
        first = cast(FittedRanker, fitted)
        began, fit = self.clock(), first.fit
        triplets = self._triplets(train)
        recipe = EmbeddingRecipe.of(self.settings)
        indexes, on_dev, artifact = dict(first.indexes), dict(fit.dev_answers), dict(fit.artifact)
        trained = fit.tokens["trained"]
        for seed in range(2, seeds + 1):
            point = self._further(seed, triplets, recipe, first, race)
            trained += point.tokens
            indexes[seed] = self._index(load_embedder(self._place(seed)))
            on_dev[seed] = point.answers
            artifact[seed] = str(self._place(seed))
        return replace(
            first,
            indexes=indexes,
            fit=replace(
                fit,
                settings={**fit.settings, "seeds": seeds},
                seconds=fit.seconds + self.clock() - began,
                tokens={**fit.tokens, "trained": trained},
                dev_answers=on_dev,
                artifact=artifact,
            ),
        )

    def _further(
        self,
        seed: int,
        triplets: Sequence[Triplet],
        recipe: EmbeddingRecipe,
        first: FittedRanker,
        race: Race,
    ) -> "_Point":
        """Trains one of the further seeds, unless it is there already."""
        if kept := self._kept(seed, triplets, recipe):
            return kept[-1]
        epochs = list[EmbeddingEpoch]()
        last = cast(int, first.fit.settings["epochs"])
        self._train(triplets, recipe, seed=seed, after=epochs.append, last=last)
        _save(epochs[-1], self._place(seed))
        index = self._index(load_embedder(self._place(seed)))
        point = self._on_dev(epochs[-1], index, first.mode, race)
        self._keep(seed, triplets, recipe, [point])
        return point

    def _on_dev(self, epoch: EmbeddingEpoch, index: Index, mode: Mode, race: Race) -> "_Point":
        """How an epoch does when it is searched in one way."""
        texts = ranked(index, [example.input for example in race.dev], mode)
        value = quality(self.metric, texts, [example.target for example in race.dev])
        return _Point(epoch.number, mode, value, tuple(texts), epoch.loss, epoch.tokens)

    def _kept(
        self, seed: int, triplets: Sequence[Triplet], recipe: EmbeddingRecipe
    ) -> "list[_Point] | None":
        """What a sitting before this one found, where it trained the same to the end."""
        file = self._record(seed)
        if not file.is_file() or not self._place(seed).is_dir():
            return None
        kept = json.loads(file.read_text("utf-8"))
        if kept["of"] != _digest(triplets, recipe):
            return None
        return _POINTS.validate_python(kept["points"])

    def _keep(
        self,
        seed: int,
        triplets: Sequence[Triplet],
        recipe: EmbeddingRecipe,
        points: "Sequence[_Point]",
    ) -> None:
        found = [asdict(point) for point in points]
        write_json(self._record(seed), {"of": _digest(triplets, recipe), "points": found})

    def _record(self, seed: int) -> Path:
        return self.folder / self.name / f"seed{seed}.json"

    def _train(
        self,
        triplets: Sequence[Triplet],
        recipe: EmbeddingRecipe,
        *,
        seed: int,
        after: Callable[[EmbeddingEpoch], None],
        last: int | None = None,
    ) -> None:
        total = (last or recipe.epochs) * len(triplets)
        with self.progress.task(f"{self.name}: seed {seed}", total=total) as advance:
            tune_embedding(
                self.base,
                triplets,
                recipe,
                seed=seed,
                after_epoch=after,
                last=last,
                advance=advance,
            )

    def _triplets(self, train: Sequence[Example]) -> list[Triplet]:
        """One for each name in a target: its passage nearest to the question, and a hard negative.

        Raises:
            NotApplicable: see `fit`.
        """
        try:
            embedder = load_embedder(self.base)
        except UserError as missing:
            raise NotApplicable(str(missing)) from missing
        index = self._index(embedder)
        passages = index.passages
        found: list[Triplet] = []
        rng = random.Random(self.base_seed)
        likest = index.search_many(
            [example.input.text for example in train], len(passages), "dense"
        )
        for example, hits in zip(train, likest, strict=True):
            wanted = read_ranking(example.target)

            def meant(name: str, wanted: Sequence[str] = wanted) -> list[str]:
                return [one for one in wanted if is_meant(comparable(name), one)]

            right = {one: hit for hit in reversed(hits) for one in meant(hit.passage.document)}
            wrong = [hit.passage.text for hit in hits if not meant(hit.passage.document)][:HARD]
            if wrong:
                found += [
                    Triplet(example.input.text, hit.passage.text, rng.choice(wrong))
                    for hit in right.values()
                ]
        if not found:
            raise NotApplicable("no row of train names a document beside which there is another")
        return found

    def _index(self, embedder: SentenceEmbedder) -> Index:
        return self.shelf.index(WORDS, embedder)

    def _place(self, seed: int) -> Path:
        return self.folder / self.name / f"seed{seed}"


@dataclass(frozen=True, slots=True)
class _Point:
    """An epoch, searched in one way."""

    epoch: int
    mode: Mode
    value: float
    answers: tuple[str, ...]
    loss: float
    tokens: int

    def told(self, rows: int) -> Mapping[str, JsonValue]:
        return {
            "epochs": self.epoch,
            "search": self.mode,
            "dev": round(self.value, 4),
            "dev_examples": rows,
            "loss": round(self.loss, 4),
        }


_POINTS = TypeAdapter(list[_Point])


def _digest(triplets: Sequence[Triplet], recipe: EmbeddingRecipe) -> str:
    said = json.dumps([triplets, asdict(recipe)], ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()


def _save(epoch: EmbeddingEpoch, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(place) as folder, quietly():
        epoch.model.save_pretrained(str(folder), create_model_card=False)
