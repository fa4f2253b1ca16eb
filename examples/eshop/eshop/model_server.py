"""The one way to the models: OpenAI's client, a time limit, and plain words for every failure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import openai
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion

from eshop.errors import ModelError
from eshop.plain import clean
from eshop.settings import FunctionName, Settings

T = TypeVar("T")

MAX_ANSWER = 20_000
"""Characters of an answer that are kept."""
MAX_REASON = 300
MAX_TOKENS: Mapping[str, int] = {"triage": 80, "summary": 160, "reply": 200, "analyst": 200}
"""Of an answer: a model that finds no end of its own keeps nobody waiting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer."""

    text: str
    model: str
    """The version that answered."""
    cut_off: bool
    """Whether it was ended by `MAX_TOKENS`."""
    passages: list[dict[str, str]]
    """Title and text of the passages that the served model itself was given."""


class ModelServer:
    """Asks the server that the settings name. Never asks twice by itself: an agent does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = openai.OpenAI(
            base_url=settings.server,
            api_key=settings.key,
            timeout=settings.timeout_s,
            max_retries=0,
        )

    def answer(self, name: FunctionName, asked: str) -> Reply:
        """Asks the model of a function.

        Raises:
            ModelError: it has none, or the server is away, slow, refuses, or answers nothing.
        """
        model = self.model(name)
        instruction = self._settings.instruction(name)
        messages = [{"role": "system", "content": instruction}] if instruction else []
        messages.append({"role": "user", "content": asked})
        told = self._ask(
            self._client.chat.completions.create,
            model=model,
            messages=messages,
            max_completion_tokens=MAX_TOKENS[name],
        )
        try:  # the client takes every answer for what it should be
            choice = _as(ChatCompletion, told).choices[0]
            message = choice.message
            content = _as(str, message.content or "")
        except (AttributeError, LookupError, TypeError) as error:
            raise ModelError(f"{model} answered with something that is no answer.") from error
        text = clean(content, MAX_ANSWER)
        if not text:
            raise ModelError(f"{model} answered with no text.")
        return Reply(
            text=text,
            model=clean(str(told.model), 512),
            cut_off=choice.finish_reason == "length",
            passages=_passages(message),
        )

    def vectors(self, texts: list[str]) -> list[list[float]]:
        """The vectors of texts, in their order.

        Raises:
            ModelError: as for `answer`.
        """
        model = self.model("search")
        create = self._client.embeddings.create
        told = self._ask(create, model=model, input=texts, encoding_format="float")
        try:
            entries = _as(CreateEmbeddingResponse, told).data
            found = {entry.index: [float(x) for x in entry.embedding] for entry in entries}
            vectors = [found[place] for place in range(len(texts))]
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ModelError(f"{model} answered with something that is no vector.") from error
        if len({len(vector) for vector in vectors}) != 1:
            raise ModelError(f"{model} answered with vectors of several lengths.")
        return vectors

    def model(self, name: FunctionName) -> str:
        """The name of a function's model.

        Raises:
            ModelError: it has none.
        """
        model = self._settings.function(name).model
        if not model:
            raise ModelError(
                f"This function has no model. Name one under [functions.{name}] in settings.toml."
            )
        return model

    def _ask(self, create: Any, **request: Any) -> Any:
        settings = self._settings
        try:
            return create(**request)
        except openai.APITimeoutError as error:
            raise ModelError(
                f"The model server did not answer within {settings.timeout_s:g} seconds."
            ) from error
        except openai.APIConnectionError as error:
            raise ModelError(f"No model server answers at {settings.server}.") from error
        except openai.APIStatusError as error:
            raise ModelError(
                f"The model server refused ({error.status_code}): {_reason(error)}",
                status=error.status_code,
            ) from error
        except (openai.OpenAIError, ValueError) as error:  # no JSON, or not of the API's shape
            raise ModelError("The model server answered with something unreadable.") from error


def _as(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _reason(error: openai.APIStatusError) -> str:
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return clean(said, MAX_REASON) if isinstance(said, str) else "it gave no reason."


def _passages(message: Any) -> list[dict[str, str]]:
    """What `tunewise serve` says of passages: annotations of OpenAI's kind with a text of ours."""
    found: list[dict[str, str]] = []
    for annotation in getattr(message, "annotations", None) or []:
        cited = getattr(annotation, "url_citation", None)
        title, text = getattr(cited, "title", None), getattr(cited, "text", None)
        if isinstance(title, str) and isinstance(text, str):
            found.append({"title": clean(title, 200), "text": clean(text, 2000)})
    return found
