"""Answers the same prompts with and without shared beginnings, in turn and in one process.

    .venv/bin/python benchmarks/shared_prefix.py --rows 130
    .venv/bin/python benchmarks/shared_prefix.py --rows 130 --shots --adapter RUN/models/fine_tune

The prompts are those of zero_shot and of few_shot with fixed examples, on the messages of
examples/support_triage; with an adapter, those of its fine-tune as well. Both ways get the same
batches. Processor time is printed beside wall time, since it suffers less from other work.
"""

import argparse
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunewise.chat.prompts import instructed, shown_examples
from tunewise.chat.tokenize import prompt_tokens
from tunewise.contenders.answering import AT_ONCE
from tunewise.data.prepare import prepare
from tunewise.models import loading
from tunewise.models.adapters import merge_into_gguf
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.engines.openvino import CACHE_BYTES
from tunewise.models.engines.openvino_pipeline import Pipeline, Vocabulary
from tunewise.models.engines.prefixes import BLOCK
from tunewise.models.engines.protocol import Sampling
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.project.settings import STARTER_MODEL
from tunewise.retrieval.index import ExampleIndex
from tunewise.types import Message

PROJECT = Path(__file__).resolve().parent.parent / "examples" / "support_triage"

Tokens = Sequence[int]


@dataclass
class Took:
    """What one way took for all batches so far."""

    wall: float = 0.0
    processor: float = 0.0
    computed: int = 0

    def ask(self, pipeline: Pipeline, prompts: Sequence[Tokens], limit: int) -> list[list[int]]:
        """Token ids of the answers."""
        began, used = time.perf_counter(), time.process_time()
        made = pipeline.generate(prompts, [Sampling(max_tokens=limit)] * len(prompts))
        self.wall += time.perf_counter() - began
        self.processor += time.process_time() - used
        self.computed += sum(map(len, prompts)) - sum(one.cached for one in made)
        return [list(one.token_ids) for one in made]


def main() -> None:
    """Prints one row for each kind of prompt."""
    given = arguments()
    model = open_model(STARTER_MODEL, progress=Silent())
    project = load_project(PROJECT)
    splits = prepare(project, asked=None, documents=()).splits
    inputs = [one.input for one in (*splits.test, *splits.dev, *splits.train)][: given.rows]
    tokenizer = loading.load_tokenizer(model.folder)
    task = str(project.task.instruction)
    index = ExampleIndex(splits.train)

    def tokens(messages: Sequence[Message]) -> Tokens:
        return prompt_tokens(tokenizer, messages)

    print(
        "| prompts | tokens | computed | plain s | shared s | ratio | of processor time | differ |"
    )
    print("|---|---|---|---|---|---|---|---|")
    kinds = {"zero_shot": [tokens(instructed(task, one)) for one in inputs]}
    for k in given.shots:
        shown = index.diverse(k)
        kinds[f"few_shot, k = {k}"] = [tokens(shown_examples(task, shown, i)) for i in inputs]
    with both(model, None) as (plain, shared):
        for name, prompts in kinds.items():
            compare(name, plain, shared, prompts, given.limit)
    if given.adapter:
        with both(model, given.adapter) as (plain, shared):
            prompts = [tokens(one.messages) for one in inputs]
            compare("fine_tune", plain, shared, prompts, given.limit)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=130, help="messages asked, 380 at most")
    parser.add_argument("--shots", type=int, nargs="*", default=[4, 8, 16])
    parser.add_argument("--limit", type=int, default=48, help="tokens of an answer at most")
    parser.add_argument(
        "--adapter", type=Path, help="folder of a PEFT adapter of the starter model"
    )
    return parser.parse_args()


@contextmanager
def both(model: LocalModel, adapter: Path | None) -> Generator[tuple[Pipeline, Pipeline]]:
    """The model opened twice: without shared beginnings, and with them."""
    blocks = CACHE_BYTES // (BLOCK * loading.cache_bytes(model.folder))
    with tempfile.TemporaryDirectory() as folder:
        weights = model.gguf
        assert weights is not None
        if adapter is not None:
            weights = Path(folder) / "merged.gguf"
            merge_into_gguf(model, adapter, weights)
        ends = loading.end_token_ids(model.folder, loading.load_tokenizer(model.folder))
        vocabulary = Vocabulary(weights, ends)
        yield (
            Pipeline(weights, vocabulary, blocks, share=False),
            Pipeline(weights, vocabulary, blocks),
        )


def compare(
    name: str, plain: Pipeline, shared: Pipeline, prompts: Sequence[Tokens], limit: int
) -> None:
    """Alternates the two ways batch by batch, and prints a row."""
    apart, together, differ = Took(), Took(), 0
    for place, start in enumerate(range(0, len(prompts), AT_ONCE)):
        some = prompts[start : start + AT_ONCE]
        ways = [(apart, plain), (together, shared)]
        said = [took.ask(pipe, some, limit) for took, pipe in (ways if place % 2 else ways[::-1])]
        differ += sum(a != b for a, b in zip(*said, strict=True))
    print(
        f"| {name} | {sum(map(len, prompts)):,} | {together.computed:,} | {apart.wall:.1f} "
        f"| {together.wall:.1f} | {apart.wall / together.wall:.2f} "
        f"| {apart.processor / together.processor:.2f} | {differ} of {len(prompts)} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
