"""Measures `tunewise serve` against its promises, beside the bare engine; prints a Markdown table.

    .venv/bin/python benchmarks/serving.py --out serving.json
    .venv/bin/python benchmarks/serving.py --tiny                 # does it run? No figure counts
    .venv/bin/python benchmarks/serving.py --parts adapters,swaps

What each part does, and what its figures mean, is in README.md. The server is a process of its own
with its engine in another; clients and the bare engine have theirs.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from serving_client import RAMP, Connection, Reply, Storm, at_once, storm

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("throughput", "overload", "adapters", "swaps")
RUNNING, QUEUE = 32, 64
"""What the server takes on by default: its capacity is their sum."""
NAME, VERSIONS = "bench", 5
"""Of the adapters: random ones, whose answers tell them apart."""
SWAPPERS, TEXTS = 8, 6
"""Clients while an alias moves, and the questions that they ask."""
PROBE = 0.05
"""Seconds between looks at /health."""
PACKAGES = ("tunewise", "openvino-genai", "fastapi", "uvicorn")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the table."""

    part: str
    what: str
    value: float
    unit: str
    most: float | None = None
    """What it may be at most; None where there is no such goal."""
    least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is; None where there is none."""
        if self.most is None and self.least is None:
            return None
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )

    def row(self) -> str:
        """In the table."""
        goal = "" if self.most is None else f"≤ {self.most:g}"
        goal = goal if self.least is None else f"≥ {self.least:g}"
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        value = f"{self.value:.3g}" if abs(self.value) < 100 else f"{self.value:.0f}"
        return f"| {self.part} | {self.what} | {value} {self.unit} | {goal} | {met} | {self.note} |"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where everything lies."""

    home: Path
    model: str
    gguf: Path
    folder: Path
    """Of the prepared base."""
    environment: dict[str, str] = field(default_factory=dict[str, str])


def main() -> None:
    """Runs the parts that were asked for."""
    given = arguments()
    began, load = time.perf_counter(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tunewise-serving-") as name:
        place = prepared(Path(name), tiny=given.tiny)
        figures: list[Figure] = []
        if {"throughput", "overload"} & set(given.parts):
            with Server(place, place.model) as server:
                if "throughput" in given.parts:
                    figures += throughput(place, server, given)
                if "overload" in given.parts:
                    figures += overload(server, given)
        if {"adapters", "swaps"} & set(given.parts):
            publish(place)
            with Server(place, place.model, NAME) as server:
                if "adapters" in given.parts:
                    figures += adapters(server, given)
                if "swaps" in given.parts:
                    figures += swaps(place, server, given)
    told = {
        "machine": f"{chip()}, {os.cpu_count()} processors",
        "packages": {one: metadata.version(one) for one in PACKAGES},
        "load_at_start": load,
        "seconds": time.perf_counter() - began,
        "settings": {name: value for name, value in vars(given).items() if name != "out"},
        "figures": [{**asdict(one), "met": one.met} for one in figures],
    }
    print(f"{told['machine']}; load at the start {load:.1f}; {told['seconds']:.0f} s in all")
    print("\n| part | what | measured | goal | met | |\n|---|---|---:|---:|---|---|")
    for one in figures:
        print(one.row())
    if given.out:
        given.out.write_text(json.dumps(told, indent=1, default=str) + "\n")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--parts", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--tiny", action="store_true", help="a model of random weights")
    parser.add_argument("--turns", type=int, default=5, help="of bare and HTTP, 32 requests each")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer, for throughput")
    parser.add_argument("--singles", type=int, default=20, help="requests alone, for latency")
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--times", type=int, default=10, help="capacity, by so many clients")
    parser.add_argument("--first-tokens", type=int, default=12, help="of each model")
    parser.add_argument("--out", type=Path, help="figures as JSON")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: {', '.join(PARTS)}")
    return given


# The machine, the model, the server


def prepared(folder: Path, *, tiny: bool) -> Place:
    """The starter model as it lies in the person's cache, or a tiny one made here."""
    from tunewise.models import catalog
    from tunewise.progress import Silent
    from tunewise.project.settings import STARTER_MODEL

    if not tiny:
        model = catalog.open_model(STARTER_MODEL, progress=Silent())
        environment = {}
    else:
        sys.path.insert(0, str(ROOT / "tests" / "support"))
        import small_models

        source = small_models.build(folder / "hub" / "small-llama")
        cache = folder / "cache"
        with patch.object(catalog, "write_gguf", small_models.write_small_gguf):
            model = catalog.open_model(str(source), progress=Silent(), cache=cache)
        environment = {"TUNEWISE_CACHE": str(cache)}
    assert model.gguf is not None
    return Place(
        home=folder / "home",
        model=model.name,
        gguf=model.gguf,
        folder=model.folder,
        environment={**environment, "TUNEWISE_HOME": str(folder / "home")},
    )


def publish(place: Place) -> None:
    """Makes versions of random adapters, as large as trained ones; the alias means the first."""
    import peft
    import torch

    from tunewise.models import loading
    from tunewise.models.adapters import sign_adapter
    from tunewise.models.catalog import open_model
    from tunewise.pipelines.publish import publish_adapter
    from tunewise.progress import Silent
    from tunewise.runs.model_file import BaseUsed, Origin
    from tunewise.runs.registry import Registry

    cache = place.environment.get("TUNEWISE_CACHE")
    base = open_model(place.model, progress=Silent(), cache=Path(cache) if cache else None)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear"
    )
    model = peft.get_peft_model(loading.load_model(base.folder), config)
    registry = Registry(place.home)
    for number in range(1, VERSIONS + 1):
        torch.manual_seed(number)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.02)
        folder = place.home.parent / f"adapter-{number}"
        model.save_pretrained(str(folder), save_embedding_layers=False)
        sign_adapter(folder, base)
        publish_adapter(
            folder,
            name=NAME,
            base=BaseUsed(name=place.model),
            origin=Origin(project="", run=str(number), token=str(number)),
            registry=registry,
        )
    registry.point(f"{NAME}@live", "1")


class Server:
    """`tunewise serve`, once it is ready, until the end of the `with`.

    Args:
        place: its home and cache.
        sources: what it serves.
    """

    def __init__(self, place: Place, *sources: str) -> None:
        self._place, self._sources = place, sources

    def __enter__(self) -> "Server":
        """Starts it."""
        words = ["serve", *self._sources, "--no-worker", "--port", "0"]
        words += ["--running", str(RUNNING), "--queue", str(QUEUE)]
        self._log = (self._place.home.parent / "serve.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tunewise.cli import main; main()", *words],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **self._place.environment},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.port = int(line.split()[2].removesuffix("/v1;").rpartition(":")[2])
        self.model = self._sources[0] if "/" not in self._sources[0] else self._base()
        while asyncio.run(get(self.port, "/ready")).status != 200:
            assert self._process.poll() is None, "the server ended"
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(40)
        finally:
            self._process.kill()
            self._process.wait()
            self._log.close()

    def memory(self) -> tuple[int, int]:
        """Resident bytes of the process that speaks HTTP, and of it and its engine together."""
        own = psutil.Process(self._process.pid)
        each = [one.memory_info().rss for one in (own, *own.children(recursive=True))]
        return each[0], sum(each)

    def _base(self) -> str:
        return Path(self._sources[0]).name


async def get(port: int, path: str) -> Reply:
    """One request on a connection of its own, as a watcher asks."""
    connection = Connection(port)
    reply = await connection.get(path)
    connection.close()
    return reply


def chip() -> str:
    """The processor, and the widest of its instructions."""
    table = Path("/proc/cpuinfo")
    text = table.read_text("ascii", errors="replace") if table.is_file() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    wide = "AVX-512" if " avx512f " in text else "AVX2" if " avx2 " in text else ""
    return f"{names[0] if names else platform.processor()} {wide}".strip()


def order(number: int) -> str:
    """A question that nobody asked before."""
    return f"Order {number} came {number % 9} days late. What shall I do?"


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that so many are not above."""
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


# (a) Beside the bare engine

_BARE: list[Any] = []
"""In the process of the bare engine: its pipeline, and the tokenizer."""


def open_bare(gguf: Path, folder: Path) -> None:
    """Opens the engine of `decide` over the same file, with a cache as large as the server's."""
    from tunewise.models import loading
    from tunewise.models.engines.openvino_pipeline import Pipeline, Vocabulary
    from tunewise.models.engines.prefixes import BLOCK
    from tunewise.serving.engine.process import CACHE_BYTES

    tokenizer = loading.load_tokenizer(folder)
    ends = loading.end_token_ids(folder, tokenizer)
    blocks = CACHE_BYTES // (BLOCK * loading.cache_bytes(folder))
    _BARE.extend([Pipeline(gguf, Vocabulary(gguf, ends), blocks), tokenizer])


def ask_bare(texts: Sequence[str], tokens: int) -> tuple[float, int]:
    """Seconds, and tokens answered."""
    from tunewise.chat.tokenize import prompt_tokens
    from tunewise.models.engines.protocol import Sampling
    from tunewise.types import Message

    pipeline, tokenizer = _BARE
    prompts = [prompt_tokens(tokenizer, (Message(role="user", content=text),)) for text in texts]
    began = time.perf_counter()
    made = pipeline.generate(prompts, [Sampling(max_tokens=tokens)] * len(prompts))
    return time.perf_counter() - began, sum(len(one.token_ids) for one in made)


def ask_http(server: Server, texts: Sequence[str], tokens: int) -> tuple[float, int]:
    """The same through the server, streamed in parallel."""
    began = time.perf_counter()
    replies = asyncio.run(at_once(server.port, server.model, texts, tokens))
    seconds = time.perf_counter() - began
    assert all(one.status == 200 and not one.error for one in replies), replies
    return seconds, sum(one.tokens for one in replies)


def throughput(place: Place, server: Server, given: argparse.Namespace) -> list[Figure]:
    """32 streams against a batch of 32; then requests alone, by turns."""
    bare_pace: list[float] = []
    http_pace: list[float] = []
    bare_alone: list[float] = []
    http_alone: list[float] = []
    spawn = multiprocessing.get_context("spawn")
    opened = (place.gguf, place.folder)
    with ProcessPoolExecutor(1, spawn, initializer=open_bare, initargs=opened) as pool:

        def bare(texts: Sequence[str], tokens: int) -> tuple[float, int]:
            return pool.submit(ask_bare, texts, tokens).result()

        def http(texts: Sequence[str], tokens: int) -> tuple[float, int]:
            return ask_http(server, texts, tokens)

        for turn in range(given.turns + 1):
            texts = [order(1000 * turn + n) for n in range(RUNNING)]
            arms: list[tuple[Callable[..., tuple[float, int]], list[float]]] = [
                (bare, bare_pace),
                (http, http_pace),
            ]
            for ask, found in arms if turn % 2 else arms[::-1]:
                seconds, tokens = ask(texts, given.tokens)
                if turn:  # the first fills what is filled once
                    found.append(tokens / seconds)
            tell(f"turn {turn}: bare {bare_pace[-1:]}, HTTP {http_pace[-1:]} tokens/s")
        for number in range(given.singles + 2):
            texts = [order(100_000 + number)]
            alone: list[tuple[Callable[..., tuple[float, int]], list[float]]] = [
                (bare, bare_alone),
                (lambda texts, tokens: single(server, texts[0], tokens), http_alone),
            ]
            for ask, found in alone if number % 2 else alone[::-1]:
                seconds, _ = ask(texts, given.tokens // 2)
                if number > 1:
                    found.append(1000 * seconds)
    ratios = [one / other for one, other in zip(http_pace, bare_pace, strict=True)]
    more = statistics.median(a - b for a, b in zip(http_alone, bare_alone, strict=True))
    spread = f"turns {min(ratios):.3f} to {max(ratios):.3f}"
    at_a_time, middle = f"{RUNNING} at a time", statistics.median
    return [
        Figure(part="a", what=f"bare, {at_a_time}", value=middle(bare_pace), unit="tokens/s"),
        Figure(part="a", what=f"HTTP, {at_a_time}", value=middle(http_pace), unit="tokens/s"),
        Figure(
            part="a",
            what="HTTP to bare",
            value=middle(ratios),
            unit="",
            least=0.9,
            note=spread,
        ),
        Figure(part="a", what="bare, one request", value=middle(bare_alone), unit="ms"),
        Figure(part="a", what="HTTP, one request", value=middle(http_alone), unit="ms"),
        Figure(part="a", what="HTTP above bare, one request", value=more, unit="ms", most=10),
    ]


def single(server: Server, text: str, tokens: int) -> tuple[float, int]:
    """One request on a fresh connection, not streamed."""

    async def ask() -> Reply:
        connection = Connection(server.port)
        reply = await connection.chat(server.model, text, tokens, stream=False)
        connection.close()
        return reply

    reply = asyncio.run(ask())
    assert reply.status == 200, reply
    return reply.seconds, reply.tokens


# (b) Ten times as many as there is room for


def overload(server: Server, given: argparse.Namespace) -> list[Figure]:
    """Many clients that ask again and again, while /health and memory are looked at."""
    clients = given.times * (RUNNING + QUEUE)
    # What fills once is filled: as many requests as there is room for.
    asyncio.run(at_once(server.port, server.model, list(map(order, range(RUNNING + QUEUE))), 4))
    before = server.memory()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool:
        made = pool.submit(storm, server.port, server.model, clients, given.seconds + RAMP, 8)
        health, memory = asyncio.run(watched(server, made.done))
        seen: Storm = made.result()
    tell(f"{clients} clients: {seen.statuses}, {seen.errors[:3]}")
    unanswered = seen.statuses.get(0, 0)
    strange = sum(n for status, n in seen.statuses.items() if status not in (0, 200, 429, 503))
    late = [1000 * one for one in seen.refused] or [0.0]
    answered, refused = seen.statuses.get(200, 0), len(seen.refused)
    lag = 1000 * quantile(seen.lags, 0.99)
    own = max(one for one, _ in memory) / before[0]
    both = max(one for _, one in memory) / before[1]
    return [
        Figure(part="b", what="clients", value=clients, unit=""),
        Figure(part="b", what="answered with 200", value=answered, unit=""),
        Figure(part="b", what="refused with 429 or 503", value=refused, unit=""),
        Figure(part="b", what="not answered", value=unanswered, unit="", most=0),
        Figure(part="b", what="any other status, 500 included", value=strange, unit="", most=0),
        Figure(
            part="b",
            what="refusals without Retry-After",
            value=seen.without_retry_after,
            unit="",
            most=0,
        ),
        Figure(part="b", what="refusals, median", value=quantile(late, 0.5), unit="ms"),
        Figure(
            part="b",
            what="refusals, 99 of 100 within",
            value=quantile(late, 0.99),
            unit="ms",
            most=100,
            note=f"slowest {max(late):.0f} ms; the clients' own lag, 99 of 100: {lag:.0f} ms",
        ),
        Figure(
            part="b",
            what="/health, 99 of 100 within",
            value=1000 * quantile(health, 0.99),
            unit="ms",
            most=50,
            note=f"slowest {1000 * max(health):.0f} ms of {len(health)}",
        ),
        Figure(
            part="b",
            what="memory of server and engine, most to before",
            value=both,
            unit="",
            most=1.1,
            note=f"{before[1] / 2**20:.0f} MiB before; the server's process alone {own:.2f}",
        ),
    ]


async def watched(
    server: Server, over: Callable[[], bool]
) -> tuple[list[float], list[tuple[int, int]]]:
    """Seconds that /health took each time, and the server's memory."""
    health: list[float] = []
    memory: list[tuple[int, int]] = []
    while not over():
        reply = await get(server.port, "/health")
        health.append(reply.seconds if reply.status == 200 else float("inf"))
        memory.append(server.memory())
        await asyncio.sleep(PROBE)
    return health, memory


# (c) One adapter after another


def adapters(server: Server, given: argparse.Namespace) -> list[Figure]:
    """The time to the first token where another model was asked just before, and both are open."""
    base, one, two = server.model, f"{NAME}@1", f"{NAME}@2"

    async def firsts(*models: str) -> dict[str, list[float]]:
        connection = Connection(server.port)
        found: dict[str, list[float]] = {name: [] for name in models}
        for number in range(given.first_tokens + 2):
            for name in models:
                reply = await connection.chat(name, order(200_000 + number), 4)
                assert reply.status == 200, reply
                if number > 1:
                    found[name].append(1000 * (reply.first_token or reply.seconds))
        connection.close()
        return found

    alone = asyncio.run(firsts(base))[base]
    beside_base = asyncio.run(firsts(base, one))[one]
    began = time.perf_counter()
    asyncio.run(at_once(server.port, two, ["Hello."], 1))
    opening = time.perf_counter() - began
    pair = asyncio.run(firsts(one, two))
    usual, middle = statistics.median(alone), statistics.median
    return [
        Figure(part="c", what="first token of the base", value=usual, unit="ms"),
        Figure(
            part="c",
            what="adapter after the base, to the base's",
            value=middle(beside_base) / usual,
            unit="",
            most=1.5,
            note=f"{middle(beside_base):.0f} ms",
        ),
        Figure(
            part="c",
            what="adapter after another adapter, to the base's",
            value=middle([*pair[one], *pair[two]]) / usual,
            unit="",
            most=1.5,
            note=f"{middle([*pair[one], *pair[two]]):.0f} ms",
        ),
        Figure(
            part="c",
            what="first answer of an adapter that was not open",
            value=opening,
            unit="s",
            note="merged, opened, asked",
        ),
    ]


# (d) An alias that moves under load


def swaps(place: Place, server: Server, given: argparse.Namespace) -> list[Figure]:
    """Clients ask an alias without a pause while it is moved from version to version."""
    from tunewise.runs.registry import Registry

    registry, texts = Registry(place.home), list(map(order, range(300_000, 300_000 + TEXTS)))
    targets = [f"{NAME}@{number}" for number in range(3, VERSIONS + 1)]
    replies: list[tuple[int, bool, Reply]] = []
    """Which question, whether an alias was on its way, the answer."""
    moving = False
    taken: list[float] = []

    async def ask(number: int, over: asyncio.Event) -> None:
        connection, asked = Connection(server.port), number
        while not over.is_set():
            asked, during = asked + 1, moving
            question = asked % TEXTS
            stream = asked % 2 == 0
            reply = await connection.chat(f"{NAME}@live", texts[question], 8, stream=stream)
            replies.append((question, during or moving, reply))
        connection.close()

    async def load() -> None:
        nonlocal moving
        over = asyncio.Event()
        clients = asyncio.gather(*(ask(number, over) for number in range(SWAPPERS)))
        await asyncio.sleep(5)
        moving = True
        for target in targets:
            began = time.perf_counter()
            registry.point(f"{NAME}@live", target)
            while not (replies and replies[-1][2].model == target):
                assert time.perf_counter() - began < 600, f"{target} never came"
                await asyncio.sleep(0.05)
            taken.append(time.perf_counter() - began)
            await asyncio.sleep(2)
        over.set()
        await clients

    asyncio.run(load())
    known = {
        name: [asyncio.run(at_once(server.port, name, [text], 8))[0].text for text in texts]
        for name in (f"{NAME}@1", *targets)
    }
    failed = [one for _, _, one in replies if one.status != 200 or one.error]
    good = [(question, during, one) for question, during, one in replies if one.status == 200]
    foreign = 0
    rounded = {False: 0, True: 0}
    for question, during, one in good:
        if one.text == known[one.model][question]:
            continue
        if any(one.text == answers[question] for answers in known.values()):
            foreign += 1
        else:
            rounded[during] += 1
    quiet = [one for _, during, one in good if not during]
    tell(f"{len(replies)} answers, {len(quiet)} before the first move; failed: {failed[:3]}")
    return [
        Figure(part="d", what="answers while the alias moved", value=len(good), unit=""),
        Figure(part="d", what="failed", value=len(failed), unit="", most=0),
        Figure(
            part="d",
            what="of a version that they do not name",
            value=foreign,
            unit="",
            most=0,
        ),
        Figure(
            part="d",
            what="of no version as it answers alone",
            value=rounded[True],
            unit="",
            most=0,
            note=f"{rounded[False]} of {len(quiet)} before the first move",
        ),
        Figure(
            part="d",
            what="from the move to the first answer of the new version",
            value=statistics.median(taken),
            unit="s",
            note=f"{len(taken)} moves",
        ),
    ]


def tell(text: str) -> None:
    """To stderr, beside the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
