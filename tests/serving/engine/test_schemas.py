import json
import random
from typing import Any, cast

import jsonschema
import pytest
import xgrammar
from hypothesis import given
from hypothesis import strategies as st

from hostile_schemas import HEAVY, REFUSED
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine.grammar_child import grammar_of
from tunewise.serving.engine.schemas import MAX_DEPTH, check_schema
from tunewise.serving.protocol import RefusedError

xgr = cast("Any", xgrammar)
NAMES = st.sampled_from(["kind", "days", "naïve key", "日本", "[^a] | (b) ::= c"])
VALUES = st.one_of(
    st.sampled_from(["defect", "return", 'a "b"', "日本"]), st.integers(-99, 99), st.booleans()
)
COUNTS = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(sorted)


@st.composite
def bounded(draw: st.DrawFn, kind: str, low: str, high: str) -> dict[str, Any]:
    least, most = draw(COUNTS)
    bounds = {low: least, high: most}
    return {"type": kind, **{name: bounds[name] for name in bounds if draw(st.booleans())}}


@st.composite
def integers(draw: st.DrawFn) -> dict[str, Any]:
    low, high = sorted(draw(st.tuples(st.integers(-300, 300), st.integers(-300, 300))))
    bounds = {
        draw(st.sampled_from(["minimum", "exclusiveMinimum"])): low - 1,
        draw(st.sampled_from(["maximum", "exclusiveMaximum"])): high + 1,
    }
    return {"type": "integer", **{name: bounds[name] for name in bounds if draw(st.booleans())}}


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    if draw(st.integers(0, 3)) == 0:
        return {"type": "object", "additionalProperties": draw(st.one_of(st.just(True), inner))}
    properties = draw(st.dictionaries(NAMES, inner, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    more = draw(st.sampled_from([{}, {"additionalProperties": False}]))
    return {"type": "object", "properties": properties, "required": required, **more}


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    return {**draw(bounded("array", "minItems", "maxItems")), "items": draw(inner)}


SCHEMAS = st.recursive(
    st.one_of(
        st.sampled_from([{"type": one} for one in ("number", "boolean", "null")]),
        st.just({"type": ["string", "null"]}),
        bounded("string", "minLength", "maxLength"),
        integers(),
        st.lists(VALUES, min_size=1, max_size=3).map(lambda values: {"enum": values}),
        VALUES.map(lambda value: {"const": value}),
    ),
    lambda inner: st.one_of(
        objects(inner),
        arrays(inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def vocabulary(small_llama: LocalModel) -> Any:
    tokenizer = loading.load_tokenizer(small_llama.folder)
    return tokenizer, xgr.TokenizerInfo.from_huggingface(tokenizer, stop_token_ids=[2])


def written(schema: dict[str, Any], vocabulary: Any, seed: int) -> str | None:
    """A text that the grammar allows, chosen at random; None: it became too long."""
    tokenizer, info = vocabulary
    rng = random.Random(seed)
    compiler = xgr.GrammarCompiler(info, max_threads=1)
    matcher = xgr.GrammarMatcher(compiler.compile_grammar(grammar_of(json.dumps(schema))))
    mask = xgr.allocate_token_bitmask(1, info.vocab_size)
    closing = [tokenizer.encode(one, add_special_tokens=False)[0] for one in '"]}']
    ids: list[int] = []
    for _ in range(300):
        matcher.fill_next_token_bitmask(mask)
        words = mask[0].tolist()
        allowed = [n for n in range(info.vocab_size) if words[n // 32] >> (n % 32) & 1]
        ends = [n for n in (2, *closing) if n in allowed]
        token = rng.choice(ends if ends and rng.random() < 0.4 else allowed)
        matcher.accept_token(token)
        if token == 2:
            return str(tokenizer.decode(ids))
        ids.append(token)
    return None


@given(SCHEMAS, st.integers(0, 2**32))
def test_whatever_a_grammar_allows_is_valid_by_the_schema(
    vocabulary: Any, schema: dict[str, Any], seed: int
) -> None:
    check_schema(schema)
    text = written(schema, vocabulary, seed)
    if text is not None and "\ufffd" not in text:
        jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_schema_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match=r"at \$") as refused:
        check_schema(REFUSED[name])
    assert refused.value.param == "response_format"


@pytest.mark.parametrize("name", HEAVY)
def test_what_is_heavy_is_left_to_the_process_that_can_be_killed(name: str) -> None:
    check_schema(HEAVY[name])


def test_the_refusal_names_the_place() -> None:
    schema = {
        "type": "object",
        "properties": {"list": {"type": "array", "items": {"type": "string", "pattern": "a"}}},
    }
    with pytest.raises(
        RefusedError, match=r"says pattern.*\(at \$.properties.list.items.pattern\)"
    ):
        check_schema(schema)


def test_what_pydantic_writes_is_let_through() -> None:
    from enum import Enum
    from typing import Literal

    from pydantic import BaseModel, Field

    class Kind(Enum):
        DEFECT = "defect"
        RETURN = "return"

    class Item(BaseModel):
        name: str = Field(max_length=40, description="as on the bill")
        count: int = Field(ge=1, le=9)

    class Order(BaseModel):
        kind: Kind
        urgent: bool = False
        items: list[Item]
        pair: tuple[int, str]
        note: str | None = None
        parent: "Order | None" = None
        source: Literal["mail", "phone"]

    check_schema(Order.model_json_schema())


def test_as_deep_as_said_is_let_through() -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(MAX_DEPTH - 1):
        schema = {"type": "array", "items": schema}
    check_schema(schema)
    with pytest.raises(RefusedError, match="levels deep"):
        check_schema({"type": "array", "items": schema})
