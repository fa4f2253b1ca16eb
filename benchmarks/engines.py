"""Times OpenVINO beside llama.cpp on the same q8_0 weights and token ids; prints a Markdown table.

    .venv-bench/bin/python benchmarks/engines.py --turns 3
    .venv-bench/bin/python benchmarks/engines.py --turns 3 --avx2

Reading: 16 prompts of 500 tokens, nothing shared, one token answered. Writing: 32 requests at
once, 64 tokens each. Every arm is a process of its own; arms alternate, and medians over `--turns`
are printed. `--avx2` keeps OpenVINO to AVX2; the wheels of xllamacpp for Linux use no more than
that anyway.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

ARMS = ("openvino", "llamacpp")
READ, READ_TOKENS = 16, 500
WRITE, PROMPT_TOKENS, WRITE_TOKENS = 32, 40, 64
CONTEXT = 32 * 640
"""Tokens of all requests of llama.cpp together."""
FIRST_TOKEN, LAST_TOKEN = 300, 40_000
"""Of the vocabulary: ordinary text pieces. Which ones makes no difference to the time."""

Prompts = Sequence[Sequence[int]]
Ask = Callable[[Prompts, int], int]
"""(prompts, tokens to answer) -> tokens answered in all."""


def main() -> None:
    """Runs the arms in turn, or one of them where `--arm` asks for it."""
    given = arguments()
    if given.arm:
        print(json.dumps(paces({"openvino": openvino, "llamacpp": llamacpp}[given.arm]())))
        return
    environment = os.environ | ({"ONEDNN_MAX_CPU_ISA": "AVX2"} if given.avx2 else {})
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for turn in range(given.turns):
        for arm in ARMS if turn % 2 else ARMS[::-1]:
            command = [sys.executable, __file__, "--arm", arm]
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=True
            )
            found[arm].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"turn {turn + 1}, {arm}: {found[arm][-1]}", file=sys.stderr, flush=True)
    print(f"{platform.machine()}, {os.cpu_count()} processors{', AVX2' if given.avx2 else ''}\n")
    print("| tokens/s | openvino | llama.cpp | openvino to llama.cpp |\n|---|---:|---:|---:|")
    for work in found[ARMS[0]][0]:
        ours, theirs = (statistics.median(one[work] for one in found[arm]) for arm in ARMS)
        print(f"| {work} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--avx2", action="store_true", help="no AVX-512")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    return parser.parse_args()


def paces(ask: Ask) -> dict[str, float]:
    """Tokens a second, reading and writing; the first requests are not counted."""
    rng = random.Random(0)

    def prompts(count: int, length: int) -> Prompts:
        return [[rng.randint(FIRST_TOKEN, LAST_TOKEN) for _ in range(length)] for _ in range(count)]

    ask(prompts(2, PROMPT_TOKENS), 8)
    began = time.perf_counter()
    ask(prompts(READ, READ_TOKENS), 1)
    read = time.perf_counter() - began
    began = time.perf_counter()
    written = ask(prompts(WRITE, PROMPT_TOKENS), WRITE_TOKENS)
    wrote = time.perf_counter() - began
    return {
        f"reading {READ} prompts of {READ_TOKENS}": READ * READ_TOKENS / read,
        f"writing for {WRITE} requests at once": written / wrote,
    }


def model() -> Any:
    """The starter model."""
    from tunewise.models.catalog import open_model
    from tunewise.progress import Silent
    from tunewise.project.settings import STARTER_MODEL

    return open_model(STARTER_MODEL, progress=Silent())


def openvino() -> Ask:
    """As the engine of that name asks, without an end token, so that nobody stops early."""
    from tunewise.models import loading
    from tunewise.models.engines.openvino import CACHE_BYTES
    from tunewise.models.engines.openvino_pipeline import Pipeline, Vocabulary
    from tunewise.models.engines.prefixes import BLOCK
    from tunewise.models.engines.protocol import Sampling

    local = model()
    blocks = CACHE_BYTES // (BLOCK * loading.cache_bytes(local.folder))
    pipeline = Pipeline(local.gguf, Vocabulary(local.gguf, frozenset()), blocks)

    def ask(prompts: Prompts, tokens: int) -> int:
        made = pipeline.generate(prompts, [Sampling(max_tokens=tokens)] * len(prompts))
        return sum(len(one.token_ids) for one in made)

    return ask


def llamacpp() -> Ask:
    """llama.cpp's server in this process, with a place for every request."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model().gguf)
    params.n_ctx, params.n_parallel = CONTEXT, WRITE
    params.cpuparams.n_threads = os.cpu_count() or 1
    server = xllamacpp.Server(params)

    def one(prompt: Sequence[int], tokens: int) -> int:
        asked = {"prompt": list(prompt), "n_predict": tokens, "temperature": 0.0}
        answer = server.handle_completions(asked | {"ignore_eos": True, "cache_prompt": False})
        return int(answer["usage"]["completion_tokens"])

    def ask(prompts: Prompts, tokens: int) -> int:
        with ThreadPoolExecutor(len(prompts)) as pool:
            return sum(pool.map(lambda prompt: one(prompt, tokens), prompts))

    return ask


if __name__ == "__main__":
    main()
