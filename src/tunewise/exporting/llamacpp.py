"""A GGUF file opened by llama.cpp: the second opinion, since most people open theirs with it.

It is asked through its own HTTP server, which listens on this machine alone and wants a key: only
there it tells tokens, of prompts and of answers.
"""

import http.client
import importlib.util
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import torch

from tunewise.chat.tokenize import prompt_tokens, said_after
from tunewise.errors import UserError
from tunewise.exporting.readers import Rendered, plain_turns
from tunewise.models import loading
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.signals import keep_signals
from tunewise.types import Failure, Generation, Usage

MISSING = (
    "xllamacpp is not installed, so that llama.cpp was not asked. "
    "Run: pip install 'tunewise[llamacpp]'"
)
_SECONDS = 600
"""For one answer, at most."""
_FORCED = 100.0
"""Added to a token's logit, it makes the token all but certain."""


def has_llamacpp() -> bool:
    """Whether the extra `llamacpp` is there."""
    return importlib.util.find_spec("xllamacpp") is not None


class LlamaCppReader:
    """See `Reader`.

    Args:
        file: the GGUF file.
        folder: the model that it was made from, in the hub's layout.
        context_tokens: the longest prompt together with its answer.
        thinking_tokens: see `Engine.thinking_tokens`.

    Raises:
        UserError: llama.cpp cannot open the file.
    """

    def __init__(
        self, file: Path, folder: Path, *, context_tokens: int, thinking_tokens: int = 0
    ) -> None:
        import xllamacpp  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs] - extra

        self.engine = "xllamacpp"
        self._tokenizer = loading.load_tokenizer(folder, thinking=thinking_tokens > 0)
        self._thinking = thinking_tokens > 0
        self._key = secrets.token_urlsafe(32)
        library = cast("Any", xllamacpp)
        settings: Any = library.CommonParams()
        settings.model.path = str(file)
        settings.n_ctx = context_tokens
        settings.n_parallel = 1
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = torch.get_num_threads()
        settings.warmup = False
        settings.verbosity = -1
        settings.api_keys = [self._key]
        try:
            with keep_signals():
                self._server: Any = library.Server(settings)
        except RuntimeError as error:
            raise UserError(f"{file}: llama.cpp cannot open it: {error}") from error

    def tokens(self, prompt: Rendered) -> tuple[int, ...]:
        """See `Reader.tokens`."""
        text = prompt.text
        if prompt.turns is not None:
            text = self._post(
                "/apply-template",
                {
                    "messages": plain_turns(prompt.turns),
                    "chat_template_kwargs": {"enable_thinking": self._thinking},
                },
            )["prompt"]
        asked = {"content": text, "add_special": False, "parse_special": True}
        return tuple(cast("list[int]", self._post("/tokenize", asked)["tokens"]))

    def stops(self, prompt: Rendered, ends: Sequence[int]) -> list[bool]:
        """See `Reader.stops`: each is made the next token, and nothing may follow it."""
        found: list[bool] = []
        for end in ends:
            said = self._complete(prompt.ids, 3, logit_bias=[[end, _FORCED]])
            found.append(said["stop_type"] == "eos" and said["tokens"] == [end])
        return found

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Reader.generate`; one after the other."""
        return [self._answer(request) for request in requests]

    def weights(self) -> None:
        """See `Reader.weights`."""

    def _answer(self, request: Request) -> Generation | Failure:
        prompt = prompt_tokens(self._tokenizer, request.messages, request.tools)
        try:
            said = self._complete(prompt, request.sampling.max_tokens)
        except UserError as error:
            return Failure(message=str(error))
        ids, stopped = cast("list[int]", said["tokens"]), said["stop_type"] == "eos"
        ids = ids[:-1] if stopped else ids
        text = said_after(self._tokenizer, prompt, ids)
        return Generation(
            text=text.text,
            usage=Usage(
                prompt_tokens=len(prompt),
                completion_tokens=len(ids),
                thinking_tokens=text.thinking_tokens,
            ),
            finish_reason="stop" if stopped else "length",
            seconds=0.0,
        )

    def _complete(self, prompt: Sequence[int], tokens: int, **more: object) -> Any:
        """A greedy completion of token ids, with the ids of its own tokens."""
        asked = {
            "prompt": list(prompt),
            "n_predict": tokens,
            "temperature": 0,
            "return_tokens": True,
            "cache_prompt": False,
            **more,
        }
        return self._post("/completion", asked)

    def _post(self, path: str, asked: Mapping[str, object]) -> Any:
        address = urlsplit(str(self._server.listening_address))
        connection = http.client.HTTPConnection(
            str(address.hostname), address.port, timeout=_SECONDS
        )
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
            connection.request("POST", path, json.dumps(asked), headers)
            answer = connection.getresponse()
            given: Any = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise UserError(f"llama.cpp refuses a prompt: {given['error']['message']}")
        return given
