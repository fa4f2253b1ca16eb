"""Answers that end by themselves are looked at once more: do they keep to their schema?"""

import json

import openai
import pytest

from http_serving import Served, serving
from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.promises import require_kept

SCHEMA = {
    "type": "object",
    "properties": {"days": {"type": "integer", "maximum": 9}, "note": {"$ref": "#/$defs/note"}},
    "required": ["days"],
    "additionalProperties": False,
    "$defs": {"note": {"type": "string"}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "mail", "schema": SCHEMA}}


@pytest.mark.parametrize("text", ['{"days":3}', '{"days": 9, "note": "é"}'])
def test_what_matches_is_let_through(text: str) -> None:
    require_kept(text, SCHEMA)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"days":12}', r"12 is greater than the maximum of 9 \(at \$\.days\)"),
        ('{"note":"x"}', "'days' is a required property"),
        ('{"days":3', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("", "no JSON"),
    ],
)
def test_what_does_not_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ApiError, match=told) as caught:
        require_kept(text, SCHEMA)
    assert (caught.value.status, caught.value.code) == (500, "schema_not_kept")


def test_nothing_is_fetched_for_a_schema() -> None:
    # Sockets are blocked in tests: a request would fail in another way than this.
    elsewhere = {"$ref": "http://127.0.0.1:9/schema.json"}
    with pytest.raises(Exception, match=r"Unresolvable|schema\.json"):
        require_kept("{}", elsewhere)


def create(served: Served, said: str, **options: object) -> object:
    return served.client().chat.completions.create(  # type: ignore[call-overload]
        model="base",
        messages=[{"role": "user", "content": said}],
        response_format=FORMAT,
        **options,
    )


@pytest.fixture(scope="module")
def served() -> object:
    with serving() as running:  # it says what was said to it
        yield running


def test_an_answer_that_breaks_its_schema_is_an_error_of_the_server(served: Served) -> None:
    with pytest.raises(openai.InternalServerError, match="fault of the server") as caught:
        create(served, '{"days":12}')
    assert caught.value.code == "schema_not_kept"
    assert json.loads(create(served, '{"days":3}').choices[0].message.content) == {"days": 3}  # type: ignore[attr-defined]


def test_in_a_stream_the_error_comes_instead_of_the_end(served: Served) -> None:
    reasons: list[str | None] = []

    def read() -> None:
        for chunk in create(served, '{"days":12}', stream=True):  # type: ignore[attr-defined]
            reasons.append(chunk.choices[0].finish_reason)

    with pytest.raises(openai.APIError, match="fault of the server"):
        read()
    assert set(reasons) == {None}


def test_an_answer_that_was_cut_says_so_and_is_no_error(served: Served) -> None:
    got = create(served, '{"days": 12 }', max_tokens=2)
    assert got.choices[0].finish_reason == "length"  # type: ignore[attr-defined]
    chunks = list(create(served, '{"days": 12 }', max_tokens=2, stream=True))  # type: ignore[call-overload]
    assert chunks[-1].choices[0].finish_reason == "length"


def test_whoever_has_it_stopped_gets_what_there_is(served: Served) -> None:
    got = create(served, '{"days": 3 }', stop=" 3")
    assert got.choices[0].message.content == '{"days":'  # type: ignore[attr-defined]
