"""Opens the engine that a project asks for, and says why it is that one."""

import importlib.util
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import torch

from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.engines.openvino import OpenVinoEngine
from tunewise.models.engines.protocol import Engine, Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.models.engines.signals import keep_signals
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.progress import Progress
from tunewise.project.settings import AUTO, THINKING_TOKENS, Auto, Endpoint, Model

if TYPE_CHECKING:
    from tunewise.models.engines.openai import OpenAIEngine


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """An engine ready to answer; as a context manager it closes the engine at the end."""

    engine: Engine
    model: LocalModel | None
    """The base model on this machine; None when it runs elsewhere and cannot be trained here."""
    why: str
    """Half a sentence: why this engine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()


class EngineOpener(Protocol):
    """Opens the engine of a project, as `open_engine` does.

    What holds a warm engine gives it as a `nullcontext`, and nobody closes it.
    """

    def __call__(self, settings: Model, *, progress: Progress) -> AbstractContextManager[Opened]:
        """The engine of a [model] table, for as long as the context lasts."""
        ...


@keep_signals()
def open_engine(settings: Model, *, progress: Progress) -> Opened:
    """The engine of a project's [model] table, which names one base.

    Raises:
        UserError: the model or endpoint cannot be used, or an extra is not installed.
    """
    (base,) = settings.bases
    if settings.engine == "openai":
        engine = open_endpoint(
            model=base,
            base_url=settings.base_url,
            api_key_env=settings.api_key_env,
            concurrency=settings.concurrency,
            thinking=settings.thinking,
            thinking_tokens=settings.thinking_tokens,
        )
        why = "; ".join(filter(None, [f"set in [model]: {settings.base_url}", engine.caveat]))
        return Opened(engine=engine, model=None, why=why)
    if settings.engine == "scripted":
        return Opened(engine=ScriptedEngine(_echo), model=None, why="set in [model]")
    model = open_model(base, progress=progress)
    thoughts = settings.thinking_tokens if settings.thinking is True else 0

    def transformers(why: str) -> Opened:
        engine = TransformersEngine(model, thinking_tokens=thoughts)
        return Opened(engine=engine, model=model, why=why)

    def openvino(why: str) -> Opened:
        engine = OpenVinoEngine(model, thinking_tokens=thoughts)
        return Opened(engine=engine, model=model, why=why)

    if settings.engine == "transformers":
        return transformers("set in [model]")
    if settings.engine == "openvino":
        if model.gguf is None:
            raise UserError(
                f"model.engine: openvino cannot run {base}: {model.no_gguf}. "
                'Use engine = "transformers" or "auto".'
            )
        return openvino("set in [model]")
    if torch.cuda.is_available():
        return transformers("a GPU is there")
    if model.gguf is None:
        return transformers(str(model.no_gguf))
    why = f"no GPU, and its GGUF reader knows the family {model.family}"
    return openvino(why)


def open_ceiling(endpoint: Endpoint) -> "OpenAIEngine":
    """The engine of a `[contenders.NAME]` table, tried with one request.

    Raises:
        UserError: the endpoint refuses, or the extra is not installed.
    """
    return open_endpoint(
        model=endpoint.model,
        base_url=endpoint.base_url,
        api_key_env=endpoint.api_key_env,
        concurrency=endpoint.concurrency,
        thinking=endpoint.thinking,
        thinking_tokens=endpoint.thinking_tokens,
    )


def open_endpoint(
    *,
    model: str,
    base_url: str,
    api_key_env: str,
    concurrency: int,
    thinking: bool | Auto = AUTO,
    thinking_tokens: int = THINKING_TOKENS,
) -> "OpenAIEngine":
    """An OpenAI-compatible endpoint, tried with one request."""
    if importlib.util.find_spec("openai") is None:
        raise UserError("The openai client is not installed. Run `pip install 'tunewise[openai]'`.")
    from tunewise.models.engines.openai import OpenAIEngine  # noqa: PLC0415 - the extra's gate

    engine = OpenAIEngine(
        model=model,
        base_url=base_url,
        key_variable=api_key_env,
        concurrency=concurrency,
        thinking=None if thinking == AUTO else thinking,
        thinking_tokens=thinking_tokens,
    )
    with ExitStack() as stack:
        stack.callback(engine.close)
        engine.check()
        stack.pop_all()
    return engine


def _echo(request: Request) -> str:
    """What the scripted engine of a dry project says: the last turn."""
    return request.messages[-1].content
