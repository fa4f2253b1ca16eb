"""Speaks HTTP to the back end: its failures become ours, and nothing else is known of requests.

No answer of it is a page to be followed elsewhere: redirects are failures. Its key is in the header
alone.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, TypeVar, cast

import httpx2
from pydantic import TypeAdapter

from tunewise.serving.backend.address import KEY_VARIABLE, BackEnd
from tunewise.serving.backend.vllm import (
    CARDS,
    CHUNK,
    TOKENS,
    WRITTEN,
    Card,
    Chunk,
    Fault,
    fault_of,
)
from tunewise.serving.protocol import BackEndError, EngineLostError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
"""For what is answered at once."""
LOAD_SECONDS = 120.0
"""For an adapter to be loaded."""
SILENCE_SECONDS = 300.0
"""Between two parts of an answer, the wait for the first one included: a prompt may wait there."""
MAX_SAID = 500
"""Characters of what it says in an error that are passed on."""
MAX_WAIT = 3600
"""Seconds that a client is told to wait at most."""

Told = TypeVar("Told")


class RefusalError(Exception):
    """The back end says that a request is wrong.

    Args:
        status: 400 to 499.
        fault: what it says.
    """

    def __init__(self, status: int, fault: Fault) -> None:
        super().__init__(fault.message)
        self.status = status
        self.fault = fault


class Connection:
    """The back end's routes.

    Args:
        back_end: where it is.
        silence_seconds: see `SILENCE_SECONDS`.
    """

    def __init__(self, back_end: BackEnd, *, silence_seconds: float = SILENCE_SECONDS) -> None:
        headers = {"Authorization": f"Bearer {back_end.key}"} if back_end.key else {}
        self._key = back_end.key
        self._silence = silence_seconds
        self._closed = False
        self._waiting: set[asyncio.Timeout] = set()
        self._client = httpx2.AsyncClient(
            base_url=back_end.url,
            headers=headers,
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
            # A proxy from the environment must not stand between us and this very machine.
            trust_env=not back_end.local,
        )

    async def models(self) -> Sequence[Card]:
        """What it serves.

        Raises:
            BackEndError: it cannot be reached, or says nothing that can be read.
        """
        try:
            return _read(CARDS, await self._ask("GET", "/v1/models")).data
        except RefusalError as error:
            raise failed(
                f"the back end answers GET /v1/models with {error.status} {error}"
            ) from error

    async def load(self, name: str, path: str) -> None:
        """Has an adapter loaded.

        Raises:
            RefusalError: it cannot be.
            BackEndError: see `models`.
        """
        body = {"lora_name": name, "lora_path": path}
        await self._ask("POST", "/v1/load_lora_adapter", body, seconds=LOAD_SECONDS)

    async def unload(self, name: str) -> None:
        """Has it forget an adapter.

        Raises:
            RefusalError: it has none of that name.
            BackEndError: see `models`.
        """
        await self._ask("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    async def written(self, model: str, body: Mapping[str, Any]) -> str:
        """A conversation as the model's template writes it.

        Args:
            model: what the back end calls it.
            body: see `tokenize_body`.

        Raises:
            RefusalError: the template refuses, or the back end does not tell.
            BackEndError: see `models`.
        """
        tokens = _read(TOKENS, await self._ask("POST", "/tokenize", body)).tokens
        back = {"model": model, "tokens": tokens}
        return _read(WRITTEN, await self._ask("POST", "/detokenize", back)).prompt

    async def chat(self, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        """The events of an answer. Closing this closes the connection, which ends the work there.

        Raises:
            RefusalError: before the first event: the request is wrong.
            BackEndError: at any time.
            EngineLostError: `close` was called.
        """
        request = self._client.build_request(
            "POST",
            "/v1/chat/completions",
            json=dict(body),
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        )
        async with contextlib.AsyncExitStack() as stack:
            async with self._heard():
                response = await self._client.send(request, stream=True)
            stack.push_async_callback(response.aclose)
            async with self._heard():
                await self._require_ok(response)
            source = httpx2.EventSource(response)
            events = cast("AsyncGenerator[httpx2.ServerSentEvent]", aiter(source))
            await stack.enter_async_context(contextlib.aclosing(events))
            while True:
                async with self._heard():
                    event = await anext(events, None)
                if event is None:
                    raise _gone("the answer broke off")
                if event.data == "[DONE]":
                    return
                yield _read(CHUNK, event.data)

    async def close(self) -> None:
        """Ends all answers under way with `EngineLostError`."""
        self._closed = True
        now = asyncio.get_running_loop().time()
        for waiting in list(self._waiting):
            waiting.reschedule(now)
        await self._client.aclose()

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> bytes:
        """The body of an answer that is there at once."""
        wait = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        async with self._heard():
            response = await self._client.request(
                method, path, json=None if body is None else dict(body), timeout=wait
            )
            await self._require_ok(response)
        return response.content

    @contextlib.asynccontextmanager
    async def _heard(self) -> AsyncGenerator[None, None]:
        """While something is waited for: a connection that goes wrong is a `BackEndError`."""
        if self._closed:
            raise EngineLostError("The engine is closed.")
        try:
            async with asyncio.timeout(self._silence) as waiting:
                self._waiting.add(waiting)
                try:
                    yield
                finally:
                    self._waiting.discard(waiting)
        except TimeoutError:
            if self._closed:
                raise EngineLostError("The engine was closed.") from None
            raise _late() from None
        except httpx2.ConnectTimeout as error:
            raise _gone("no connection in time") from error
        except httpx2.TimeoutException as error:
            raise _late() from error
        except (httpx2.SSEError, httpx2.DecodingError) as error:
            raise failed(f"the back end sends no stream: {error}") from error
        except httpx2.RequestError as error:
            raise _gone(f"{type(error).__name__}: {error}") from error

    async def _require_ok(self, response: httpx2.Response) -> None:
        """Nothing, where the back end did what it was asked to."""
        if response.status_code == 200:
            return
        fault = fault_of(await response.aread())
        fault = fault.model_copy(update={"message": self._told(fault.message)})
        status, said = response.status_code, f"{response.status_code} {fault.message}"
        if status in (401, 403):
            raise _key_refused(said)
        if status in (429, 503):
            raise _busy(said, response.headers.get("retry-after", ""))
        if 400 <= status < 500:
            raise RefusalError(status, fault)
        raise failed(f"the back end answers {said}")

    def _told(self, message: str) -> str:
        """What it says, without the key and not too long."""
        safe = message.replace(self._key, "[key]") if self._key else message
        return safe if len(safe) <= MAX_SAID else f"{safe[:MAX_SAID]}..."


def failed(why: str) -> BackEndError:
    """The back end answered, and not as it should.

    Args:
        why: for the log.
    """
    return BackEndError(
        "The back end that runs this model failed. The server's log tells why, under the id of "
        "this request (header x-request-id).",
        why=why,
        status=502,
        code="backend_failed",
    )


def _read(form: TypeAdapter[Told], body: bytes | str) -> Told:
    try:
        return form.validate_json(body)
    except ValueError as error:
        raise failed("the back end sends what cannot be read") from error


def _gone(why: str) -> BackEndError:
    return BackEndError(
        "The back end that runs this model cannot be reached, or broke off. Ask again.",
        why=f"the back end cannot be reached, or broke off: {why}",
        status=503,
        code="backend_unavailable",
    )


def _late() -> BackEndError:
    return BackEndError(
        "The back end that runs this model did not answer in time. Ask again.",
        why="the back end said nothing for too long",
        status=503,
        code="backend_timeout",
    )


def _busy(said: str, wait: str) -> BackEndError:
    seconds = min(int(wait), MAX_WAIT) if wait.isascii() and wait.isdigit() else 1
    return BackEndError(
        "The back end that runs this model takes no more requests now. Ask again.",
        why=f"the back end takes no requests: {said}",
        status=503,
        code="backend_overloaded",
        retry_after=max(seconds, 1),
    )


def _key_refused(said: str) -> BackEndError:
    return BackEndError(
        "The back end that runs this model does not let this server in.",
        why=f"the back end refuses the key ({said}). Set {KEY_VARIABLE} to what it was started "
        "with (`vllm serve --api-key`)",
        status=502,
        code="backend_key_refused",
    )
