"""What of a request can be judged before a model is asked: numbers and texts of `Decoding`."""

import json
import math

from tunewise.serving.protocol import Capabilities, ChatRequest, Decoding, RefusedError

MAX_ANSWERS = 16
"""Answers to one prompt at most."""
MAX_STOPS, MAX_STOP_CHARACTERS = 16, 256
"""Stop strings at most, and characters of one."""
SEEDS = 2**63
"""A seed lies between minus and plus this."""


def check_request(request: ChatRequest, can: Capabilities) -> None:
    """Refuses what cannot be asked of an engine at all; nothing is sent to it.

    Raises:
        RefusedError: naming the field.
    """
    if not request.messages:
        raise RefusedError("messages is empty. Give at least one turn.", param="messages")
    _check_characters(request)
    if request.tools and not can.tools:
        raise RefusedError(
            f"The engine {can.engine} calls no tools. Leave tools out.", param="tools"
        )
    check_decoding(request.decoding, can)


def check_decoding(decoding: Decoding, can: Capabilities) -> None:
    """Refuses numbers and texts out of bounds, and what the engine cannot do.

    Raises:
        RefusedError: naming the field.
    """
    if decoding.max_tokens is not None and decoding.max_tokens < 1:
        raise _out("max_tokens", decoding.max_tokens, "a whole number from 1")
    if not (math.isfinite(decoding.temperature) and 0 <= decoding.temperature <= 2):
        raise _out("temperature", decoding.temperature, "a number from 0 to 2")
    if not (math.isfinite(decoding.top_p) and 0 < decoding.top_p <= 1):
        raise _out("top_p", decoding.top_p, "a number above 0, at most 1")
    if decoding.seed is not None and not -SEEDS <= decoding.seed < SEEDS:
        raise _out("seed", decoding.seed, "a whole number of 64 bits")
    if not 1 <= decoding.n <= MAX_ANSWERS:
        raise _out("n", decoding.n, f"a whole number from 1 to {MAX_ANSWERS}")
    _check_stops(decoding.stop)
    _check_logprobs(decoding, can)
    if decoding.json_schema is not None and not can.schema:
        raise RefusedError(
            f"The engine {can.engine} cannot keep an answer to a JSON schema. Leave "
            "response_format out.",
            param="response_format",
        )


def _check_characters(request: ChatRequest) -> None:
    """JSON can hold halves of characters (`\\ud83d`), which no tokenizer takes."""
    said: list[tuple[str, str]] = [("stop", stop) for stop in request.decoding.stop]
    for turn in request.messages:
        calls = [text for call in turn.tool_calls for text in (call.name, call.arguments)]
        said += [("messages", text) for text in (turn.role, turn.content, *calls)]
    said.append(("tools", json.dumps(list(request.tools), ensure_ascii=False)))
    for field, text in said:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise RefusedError(
                f"{field} holds half of a character (a lone surrogate). Send whole characters.",
                param=field,
            ) from error


def _check_stops(stops: tuple[str, ...]) -> None:
    if len(stops) > MAX_STOPS:
        raise _out("stop", f"{len(stops)} texts", f"at most {MAX_STOPS}")
    for stop in stops:
        if not 1 <= len(stop) <= MAX_STOP_CHARACTERS:
            told = f"a text of {len(stop)} characters"
            raise _out("stop", told, f"texts of 1 to {MAX_STOP_CHARACTERS}")


def _check_logprobs(decoding: Decoding, can: Capabilities) -> None:
    asked, most = decoding.top_logprobs, can.max_top_logprobs
    if asked < 0:
        raise _out("top_logprobs", asked, f"a whole number from 0 to {most}")
    if asked > most and not most:
        raise RefusedError(
            f"The engine {can.engine} tells the log-probability of the token that was chosen, and "
            "of no other. Leave top_logprobs out, or set it to 0.",
            param="top_logprobs",
        )
    if asked > most:
        raise _out("top_logprobs", asked, f"a whole number from 0 to {most}")
    if asked and not decoding.logprobs:
        raise RefusedError("top_logprobs needs logprobs to be true.", param="top_logprobs")


def _out(field: str, value: object, wanted: str) -> RefusedError:
    return RefusedError(f"{field} is {value}. It must be {wanted}.", param=field)
