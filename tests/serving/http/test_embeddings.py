"""The official client asks a real server for embeddings."""

import base64
import struct
from collections.abc import Iterator

import numpy as np
import openai
import pytest
from openai.types import CreateEmbeddingResponse

from http_serving import EMBEDDING, Served, serving
from tunewise.errors import UserError
from tunewise.serving.http.service import EmbeddingModel


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


def vector(text: str) -> list[float]:
    """What the test's embedder makes of a text."""
    return (np.array([len(text), 1]) / np.hypot(len(text), 1)).tolist()


def test_vectors_come_in_order_with_the_tokens_that_were_read(served: Served) -> None:
    got = served.client().embeddings.create(model=EMBEDDING, input=["a", "b c d"])
    assert [one.index for one in got.data] == [0, 1]
    assert np.allclose([one.embedding for one in got.data], [vector("a"), vector("b c d")])
    assert (got.usage.prompt_tokens, got.usage.total_tokens, got.model) == (4, 4, EMBEDDING)


def test_one_text_is_one_vector(served: Served) -> None:
    got = served.client().embeddings.create(model=EMBEDDING, input="abc", encoding_format="float")
    assert np.allclose(got.data[0].embedding, vector("abc"))


def test_base64_is_little_endian_float32(served: Served) -> None:
    asked = {"model": EMBEDDING, "input": "abc", "encoding_format": "base64"}
    with served.http() as http:
        got = http.post("/v1/embeddings", json=asked)
        numbers = http.post("/v1/embeddings", json={"model": EMBEDDING, "input": "abc"}).json()
    packed = base64.b64decode(got.json()["data"][0]["embedding"])
    assert np.allclose(struct.unpack("<2f", packed), vector("abc"))
    assert np.allclose(numbers["data"][0]["embedding"], vector("abc"))
    CreateEmbeddingResponse.model_validate(numbers)
    assert got.headers["x-tunewise-model"] == EMBEDDING


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input[1]"),
        ({"input": [1, 2, 3]}, "input[0]"),
        ({"input": [[1, 2]]}, "input[0]"),
        ({"input": ["short", "w " * 9]}, "input[1]"),
        ({"input": "w " * 9}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"dimensions": 8}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"model": "base"}, "model"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_by_its_field(
    served: Served, fields: dict, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        served.client().embeddings.create(**{"model": EMBEDDING, "input": "a", **fields})
    assert caught.value.param == param


def test_a_model_that_is_not_there_is_a_404(served: Served) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        served.client().embeddings.create(model="text-embedding-3-small", input="a")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_a_missing_extra_is_named() -> None:
    def load() -> object:
        raise UserError("Sentence embeddings need the extra `dense`. Run: pip install ...")

    missing = EmbeddingModel(id=EMBEDDING, load=load)  # type: ignore[arg-type]
    with (
        serving(embedding=missing) as running,
        pytest.raises(openai.BadRequestError, match="extra `dense`") as caught,
    ):
        running.client().embeddings.create(model=EMBEDDING, input="a")
    assert caught.value.code == "missing_extra"
