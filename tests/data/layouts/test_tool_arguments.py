"""What calls pass beside what their tools have: storage's nulls go, other differences are told."""

import json

import pytest

from data_files import Write, jsonl, parquet
from places import ROOT
from tunewise.data.checks.quick import check_data
from tunewise.data.layouts.tool_arguments import argument_faults
from tunewise.data.read import read_examples
from tunewise.project.settings import Task
from tunewise.types import ToolCall

CASES = ROOT.parent / "shared" / "cases" / "03-arrow-nulls-in-jsonl"
TEXT = {"type": "string"}


def tool(name: str, properties: object, **more: object) -> dict[str, object]:
    schema = {"type": "object", "properties": properties, **more}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def row(arguments: object, *tools: object, name: str = "wax") -> dict[str, object]:
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    turns = [
        {"role": "user", "content": "Wax it.", "tool_calls": None, "name": None},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    return {"messages": turns, "tools": list(tools)}


WAX = tool("wax", {"snow": TEXT}, required=["snow"])
OPEN = tool("wax", {"snow": TEXT}, additionalProperties=True)
NESTED = tool(
    "wax", {"ski": {"type": "object", "properties": {"length": {"type": "number"}}}, "pairs": {
        "type": "array", "items": {"type": "object", "properties": {"left": TEXT}}}},
)  # fmt: skip
LEARNT = {
    "an argument of another tool": (WAX, {"snow": "dry", "city": None}, {"snow": "dry"}),
    "arguments as text": (WAX, '{"snow": "dry", "city": null}', {"snow": "dry"}),
    "an argument left out": (
        tool("wax", {"snow": TEXT, "brand": TEXT}), {"snow": "dry", "brand": None}, {"snow": "dry"}
    ),
    "a tool without parameters": (tool("wax", {}), {"city": None}, {}),
    "a tool that says nothing": (
        {"type": "function", "function": {"name": "wax", "parameters": None}}, {"city": None}, {}
    ),
    "a null in an object": (
        NESTED, {"ski": {"length": 2, "city": None}, "pairs": [{"left": "a", "right": None}]},
        {"ski": {"length": 2}, "pairs": [{"left": "a"}]},
    ),
    "a null of a type": (
        tool("wax", {"snow": {"type": ["string", "null"]}}), {"snow": None}, {"snow": None}
    ),
    "a null of a choice": (
        tool("wax", {"snow": {"anyOf": [TEXT, {"type": "null"}]}}), {"snow": None}, {"snow": None}
    ),
    "a null of a list": (tool("wax", {"snow": {"enum": ["dry", None]}}), {"snow": None},
        {"snow": None}),
    "a null that is allowed": (
        tool("wax", {"snow": {"type": "string", "nullable": True}}), {"snow": None}, {"snow": None}
    ),
    "a null by default": (
        tool("wax", {"snow": {"type": "string", "default": None}}), {"snow": None}, {"snow": None}
    ),
    "a null that is required": (WAX, {"snow": None}, {"snow": None}),
    "a null where anything may be passed": (
        OPEN, {"snow": "dry", "city": None}, {"snow": "dry", "city": None}
    ),
    "parameters without a frame": (
        {"name": "wax", "parameters": {"snow": {"type": "str", "description": "of today"}}},
        {"snow": "dry", "city": None}, {"snow": "dry"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("known", "passed", "learnt"), LEARNT.values(), ids=LEARNT.keys())
def test_a_null_is_learnt_only_where_the_tool_has_one(
    write: Write, known: object, passed: object, learnt: object
) -> None:
    path = write(json.dumps(row(passed, known)))
    (example,) = read_examples(path).examples
    assert json.loads(example.target) == {"name": "wax", "arguments": learnt}
    passed = json.loads(passed) if isinstance(passed, str) else passed
    notes = [note for note in read_examples(path).notes if "were left out" in note]
    assert any("arguments that are null" in note for note in notes) == (passed != learnt)


def test_a_null_in_sharegpts_calls_is_left_out_too(write: Write) -> None:
    turns = [
        {"from": "human", "value": "Wax it."},
        {
            "from": "function_call",
            "value": '{"name": "wax", "arguments": {"snow": "dry", "a": null}}',
        },
    ]
    path = write(json.dumps({"conversations": turns, "tools": json.dumps([WAX])}))
    assert json.loads(read_examples(path).examples[0].target)["arguments"] == {"snow": "dry"}


def test_a_null_for_a_tool_that_nobody_describes_stays_and_is_named(write: Write) -> None:
    path = write(json.dumps(row({"snow": None})))
    result = read_examples(path)
    assert json.loads(result.examples[0].target)["arguments"] == {"snow": None}
    assert any('passes null to "wax", which no tool describes' in note for note in result.notes)


SCHEMAS = {
    "a parameter of another tool": ({"snow": TEXT, "city": None}, {"snow": TEXT}),
    "keys of another schema": (
        {"snow": {"type": "string", "enum": None, "items": None, "default": None}}, {"snow": TEXT}
    ),
    "a parameter that is named like a key": ({"snow": TEXT, "default": None}, {"snow": TEXT}),
    "a null within a list of values": (
        {"snow": {"enum": ["dry", None]}}, {"snow": {"enum": ["dry", None]}}
    ),
    "a default on purpose": (
        {"snow": {"type": "string", "default": None}}, {"snow": {"type": "string", "default": None}}
    ),
    "within an object": (
        {"ski": {"type": "object", "properties": {"a": TEXT, "b": None}, "required": None}},
        {"ski": {"type": "object", "properties": {"a": TEXT}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "shown"), SCHEMAS.values(), ids=SCHEMAS.keys())
@pytest.mark.parametrize("as_text", [False, True])
def test_a_null_that_is_no_schema_is_not_shown_to_the_model(
    write: Write, written: object, shown: object, as_text: bool
) -> None:
    tools = [tool("wax", written, required=None)]
    record = {**row({}), "tools": json.dumps(tools) if as_text else tools}
    result = read_examples(write(json.dumps(record)))
    assert list(result.examples[0].tools) == [tool("wax", shown)]
    assert any("nulls in the description of a tool" in note for note in result.notes)


def test_jsonl_and_parquet_teach_the_same(write: Write) -> None:
    freeze = tool("freeze", {"degrees": {"type": "number"}})
    rows = [
        row({"snow": "dry"}, WAX, freeze), row({"degrees": 3}, WAX, freeze, name="freeze"),
    ]  # fmt: skip
    plain = read_examples(write(jsonl(rows))).examples
    stored = read_examples(write(parquet(rows), "a.parquet")).examples
    assert [(e.target, *e.tools) for e in plain] == [(e.target, *e.tools) for e in stored]


CALL = ToolCall(name="wax", arguments='{"snow": "dry", "city": "Graz"}')
FAULTS = {
    "an argument too many": (WAX, CALL, "unknown_argument", 'Passes "city" to wax, which has'),
    "an argument to a tool without any": (
        tool("wax", {}), CALL, "unknown_argument", 'Passes "snow", "city" to wax, which takes none.'
    ),
    "an argument too few": (
        WAX, ToolCall(name="wax", arguments="{}"), "missing_argument", 'Calls wax without "snow"'
    ),
    "a null for one that is required": (
        WAX, ToolCall(name="wax", arguments='{"snow": null}'), "missing_argument", "Calls wax with"
    ),
    "another tool": (
        WAX, ToolCall(name="wash", arguments="{}"), "unknown_tool", 'Calls "wash", which is no tool'
    ),
}  # fmt: skip


@pytest.mark.parametrize(("known", "call", "rule", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_call_that_does_not_fit_its_tool_is_told(
    known, call: ToolCall, rule: str, message: str
) -> None:
    (fault,) = argument_faults([call], [known])
    assert fault.rule == rule
    assert fault.message.startswith(message)


@pytest.mark.parametrize(
    ("known", "arguments"),
    [
        (WAX, '{"snow": "dry"}'),
        (OPEN, '{"snow": "dry", "city": "Graz"}'),
        (tool("wax", {"snow": {"type": ["string", "null"]}}, required=["snow"]), "{}"),
        ({"type": "function", "function": {"name": "wax"}}, '{"snow": "dry"}'),
        (tool("wax", {"snow": TEXT}, anyOf=[{"required": ["snow"]}]), '{"city": 1}'),
    ],
)  # fmt: skip
def test_a_call_that_may_fit_is_not_blamed(known, arguments: str) -> None:
    assert argument_faults([ToolCall(name="wax", arguments=arguments)], [known]) == []


def test_check_names_such_rows_by_file_and_line(write: Write) -> None:
    rows = [row({"snow": f"dry {n}"}, WAX) for n in range(30)]
    rows[4] = row({"snow": "dry", "city": "Graz"}, WAX)
    path = write(jsonl(rows))
    report = check_data({"examples": read_examples(path)}, Task(kind="extraction"))
    found = [(f.rule, f.where) for f in report.warnings if "argument" in f.rule]
    assert found == [("unknown_argument", f"{path}:5")]


@pytest.mark.skipif(not CASES.exists(), reason="the folder with cases people met is not here")
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_the_rows_that_people_met_teach_what_was_written(name: str) -> None:
    wanted = read_examples(CASES / "plain.jsonl").examples
    found = read_examples(CASES / name).examples
    assert [(e.messages, e.target, e.tools) for e in found] == [
        (e.messages, e.target, e.tools) for e in wanted
    ]
