"""One model opened by llama.cpp, asked through its own server on loopback, behind a random key.

Only that server tells the tokens of an answer. It has a queue, places and a prefix cache of its
own; each request is read by a thread, which takes no part in anything else.
"""

import contextlib
import http.client
import json
import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import torch

from tunewise.chat.tokenize import ChatTokenizer
from tunewise.errors import UserError
from tunewise.models.engines.prefixes import BLOCK
from tunewise.serving.engine.answers import BROKEN
from tunewise.serving.engine.gbnf import gbnf_of
from tunewise.serving.engine.pipeline import LEAST_LOGPROB, SEEDS, Generated, Ranked
from tunewise.serving.engine.wire import Choice

PARALLEL = 32
"""Answers generated at a time; they share one cache."""
_PAUSE = 0.005
"""Seconds for which a step waits for news at most."""
_RANDOM_SEED = SEEDS - 1
"""llama.cpp takes this one for none."""


class LlamaPipeline:
    """See `Pipeline`.

    Args:
        file: a GGUF file.
        tokenizer: of the same vocabulary.
        blocks: of keys and values that all answers together may take.

    Raises:
        UserError: llama.cpp cannot open the file.
    """

    def __init__(self, file: Path, tokenizer: ChatTokenizer, blocks: int) -> None:
        import xllamacpp  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - extra

        self._tokenizer = tokenizer
        self._key = secrets.token_urlsafe(32)
        self._news = threading.Condition()
        self._fresh = False
        self._lost: Exception | None = None
        library = cast("Any", xllamacpp)
        settings: Any = library.CommonParams()
        settings.model.path = str(file)
        settings.n_ctx = blocks * BLOCK
        settings.n_parallel = PARALLEL
        settings.kv_unified = True
        settings.n_threads_http = PARALLEL + 2
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = torch.get_num_threads()
        settings.cache_ram_mib = 0  # else up to 8 GB of finished prompts beside the cache
        settings.cache_idle_slots = False
        settings.endpoint_slots = False
        settings.warmup = False
        settings.verbosity = -1
        settings.api_keys = [self._key]
        try:
            self._server: Any = library.Server(settings)
        except RuntimeError as error:
            raise UserError(f"{file}: llama.cpp cannot open it: {error}") from error

    def add(self, prompt: Sequence[int], limit: int, choice: Choice, seed: int) -> "LlamaRequest":
        """See `Pipeline.add`."""
        asked = _asked(prompt, limit, choice, seed)
        top = choice.top_logprobs if choice.logprobs else 0
        return LlamaRequest(self, self._post(asked), self._tokenizer, top)

    def step(self) -> None:
        """See `Pipeline.step`: waits a moment until something was generated."""
        with self._news:
            self._news.wait_for(lambda: self._fresh or self._lost, _PAUSE)
            self._fresh = False
            if self._lost is not None:
                raise self._lost

    def tell(self, lost: Exception | None = None) -> None:
        """There is something to read, or llama.cpp's server is lost. From any thread."""
        with self._news:
            self._fresh = True
            self._lost = self._lost or lost
            self._news.notify()

    def _post(self, asked: Mapping[str, object]) -> http.client.HTTPConnection:
        address = urlsplit(str(self._server.listening_address))
        connection = http.client.HTTPConnection(str(address.hostname), address.port)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        connection.request("POST", "/completion", json.dumps(asked), headers)
        return connection


class LlamaRequest:
    """See `Handle`. A thread reads what comes.

    Args:
        pipeline: told of news.
        connection: on which it was asked.
        tokenizer: of the model.
        top: most probable tokens that are told of each place.
    """

    def __init__(
        self,
        pipeline: LlamaPipeline,
        connection: http.client.HTTPConnection,
        tokenizer: ChatTokenizer,
        top: int,
    ) -> None:
        self._pipeline, self._connection = pipeline, connection
        self._socket: socket.socket = connection.sock
        self._events = Events(tokenizer, top)
        self._lock = threading.Lock()
        self._read = Generated()
        self._cancelled = False
        threading.Thread(target=self._listen, name="llama.cpp", daemon=True).start()

    def read(self) -> Generated:
        """See `Handle.read`."""
        with self._lock:
            read, self._read = self._read, Generated()
        return read

    def ignored(self) -> bool:
        """See `Handle.ignored`. Its server has a queue of its own, and answers all."""
        return False

    def cancel(self) -> None:
        """See `Handle.cancel`: llama.cpp ends a request whose client hangs up."""
        self._cancelled = True
        with contextlib.suppress(OSError):  # it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        over = False
        try:
            answer = self._connection.getresponse()
            if answer.status != http.client.OK:
                over = True
                self._take(Generated(fault=_fault(json.loads(answer.read()))))
            for line in answer:
                kind, _, data = line.strip().partition(b": ")
                if kind not in (b"data", b"error") or data == b"[DONE]":
                    continue
                generated = self._events.read(json.loads(data))
                over = over or bool(generated.over or generated.fault)
                self._take(generated)
            if not (over or self._cancelled):
                raise ConnectionError("llama.cpp ended within an answer")
        except (OSError, ValueError, http.client.HTTPException) as error:
            if not (over or self._cancelled):
                self._pipeline.tell(lost=error)
        finally:
            self._connection.close()

    def _take(self, new: Generated) -> None:
        with self._lock:
            old = self._read
            self._read = replace(
                new,
                tokens=(*old.tokens, *new.tokens),
                logprobs=(*old.logprobs, *new.logprobs),
                ranked=(*old.ranked, *new.ranked),
                unseen=old.unseen + new.unseen,
                cached=old.cached or new.cached,
            )
        self._pipeline.tell()


class Events:
    """Events of one answer in, tokens out.

    llama.cpp tells no token whose bytes end within a character; once that is whole it tells its
    text and the last of its tokens. The others are found again in the text; those of bytes that
    never become a character are only counted.

    Args:
        tokenizer: of the model.
        top: most probable tokens that are told of each place.
    """

    def __init__(self, tokenizer: ChatTokenizer, top: int) -> None:
        self._tokenizer, self._top = tokenizer, top
        self._counted = 0
        self._wordless: Generated | None = None
        """A token without text: what ends the answer, if the next event says so."""

    def read(self, event: Mapping[str, Any]) -> Generated:
        """What an event says."""
        if "error" in event or "message" in event:
            return Generated(fault=_fault(event))
        held, self._wordless = self._wordless, None
        if event["stop"]:
            return self._last(event, held)
        new = self._token(event)
        if not event["content"]:
            new, self._wordless = Generated(), new
        if held is None:
            return new
        return replace(
            new,
            tokens=(*held.tokens, *new.tokens),
            logprobs=(*held.logprobs, *new.logprobs),
            ranked=(*held.ranked, *new.ranked),
            unseen=held.unseen + new.unseen,
            cached=held.cached,
        )

    def _token(self, event: Mapping[str, Any]) -> Generated:
        ids = cast("list[int]", event["tokens"])
        count = int(event["tokens_predicted"])
        made, self._counted = count - self._counted, count
        if made > len(ids):
            ids = self._found_again(str(event["content"]).replace(BROKEN, ""))
        told = cast("list[Mapping[str, Any]]", event.get("completion_probabilities") or [])
        told = told[: len(ids)]
        unknown = [None] * (len(ids) - len(told))
        return Generated(
            tokens=tuple(ids),
            logprobs=(*unknown, *(_logprob(one) for one in told)),
            ranked=(*((),) * len(unknown), *(self._ranks(one) for one in told)),
            unseen=made - len(ids),
            cached=_cached(event),
        )

    def _last(self, event: Mapping[str, Any], held: Generated | None) -> Generated:
        count = int(event["tokens_predicted"])
        made, self._counted = count - self._counted, count
        if event["stop_type"] == "limit":
            return replace(held or Generated(cached=_cached(event)), unseen=made, over="length")
        # The token that ended it is counted, and is no part of the answer.
        unseen = max(0, made - (held is None))
        return Generated(unseen=unseen, cached=_cached(event), over="stop")

    def _ranks(self, told: Mapping[str, Any]) -> Ranked:
        ranked = cast("list[Mapping[str, Any]]", told["top_logprobs"])[: self._top]
        return tuple((int(one["id"]), _logprob(one)) for one in ranked)

    def _found_again(self, text: str) -> list[int]:
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        # Some tokenizers put a space before what begins a text.
        shorter = ids[1:]
        return shorter if str(self._tokenizer.decode(shorter)) == text else ids


def _asked(prompt: Sequence[int], limit: int, choice: Choice, seed: int) -> dict[str, object]:
    """A request as llama.cpp's server takes it; its own habits (top_k, min_p) are switched off."""
    asked: dict[str, object] = {
        "prompt": list(prompt),
        "n_predict": limit,
        "stream": True,
        "return_tokens": True,
        "cache_prompt": True,
        "timings_per_token": True,
        "temperature": choice.temperature,
        "samplers": ["temperature"],
    }
    if choice.temperature > 0:
        asked |= {"samplers": ["temperature", "top_p"], "top_p": choice.top_p}
        asked["seed"] = seed % _RANDOM_SEED
    if choice.logprobs:
        asked["n_probs"] = max(1, choice.top_logprobs)
    if choice.grammar is not None:
        asked["grammar"] = gbnf_of(choice.grammar)
    return asked


def _logprob(told: Mapping[str, Any]) -> float:
    value = told["logprob"]
    return LEAST_LOGPROB if value is None else max(LEAST_LOGPROB, float(value))


def _cached(event: Mapping[str, Any]) -> int:
    return int(event.get("timings", {}).get("cache_n", 0))


def _fault(event: Mapping[str, Any]) -> str:
    error: object = event.get("error", event)
    if not isinstance(error, Mapping):
        return str(error)
    return str(cast("Mapping[str, object]", error).get("message", "it says no reason"))
