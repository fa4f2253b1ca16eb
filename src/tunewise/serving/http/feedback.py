"""`POST /v1/chat/completions/{id}/feedback`: what a person says of an answer. Ours, not OpenAI's.

It becomes a line of the log that holds the answer, from which `tunewise data from-logs` makes
examples.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from tunewise.serving.http.access import key_of, needs
from tunewise.serving.http.contents import LoggedAnswer
from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.service import rate_limited, service_of
from tunewise.serving.http.wire import Text, Wire
from tunewise.serving.keys import Key

MAX_CORRECTION = 2**17
"""Characters of a correction."""
MAX_ID = 64
"""Characters of an id; those given here have 41."""

router = APIRouter()


class Feedback(Wire):
    """What is said of an answer."""

    rating: Literal["good", "bad"]
    correction: Annotated[Text, Field(min_length=1, max_length=MAX_CORRECTION)] | None = None
    """What the answer should have been; it is learned from whatever the rating is."""


class Noted(BaseModel):
    """What was written down."""

    object: Literal["chat.completion.feedback"] = "chat.completion.feedback"
    id: str
    """Of the answer."""
    rating: Literal["good", "bad"]
    corrected: bool


@router.post(
    "/v1/chat/completions/{id}/feedback", dependencies=[needs("chat"), Depends(rate_limited)]
)
async def give_feedback(id: str, body: Feedback, request: Request) -> Noted:
    """Writes down what a person says of an answer; said again, the last word counts.

    A key speaks of the answers that it was given, one with the scope `admin` of all.
    """
    service, key = service_of(request), key_of(request)
    contents = service.contents
    if contents is None:
        raise ApiError(
            400,
            "This server keeps no answers that could be rated. Start it with --log-contents FILE.",
            code="contents_not_logged",
        )
    found = await service.in_thread(lambda: contents.find(id)) if len(id) <= MAX_ID else None
    if found is None or not _may_speak(key, found):
        raise ApiError(
            404,
            f"No answer {id[:MAX_ID]!r} of yours is in the log. Send the `id` of a chat completion "
            "of this server; the log forgets its oldest ones.",
            param="id",
            code="answer_not_found",
        )
    feedback = body.model_dump(exclude_none=True)
    name = None if key is None else key.name
    if not contents.write({"key": name, "of": id, "feedback": feedback}):
        raise ApiError(
            503,
            "The log cannot be written to; the server's own log tells why.",
            code="contents_not_written",
        )
    return Noted(id=id, rating=body.rating, corrected=body.correction is not None)


def _may_speak(key: Key | None, found: LoggedAnswer) -> bool:
    return key is None or key.may(("admin",)) or key.name == found.key
