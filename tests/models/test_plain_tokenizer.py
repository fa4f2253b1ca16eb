"""Tokens and prompts without transformers are those of transformers."""

from pathlib import Path
from typing import Any

import pytest

from chat_templates import FAMILIES, KINDS, Family, Kind, small_tokenizer
from tunewise.chat.template import ChatTokenizer, render, render_prompt, set_thinking
from tunewise.chat.tokenize import answer_tokens
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.plain_tokenizer import MAX_KEPT, keep_tokenizer, kept_tokenizer
from tunewise.models.tokenizers import find_tokenizer
from tunewise.project.settings import Model
from tunewise.types import Message, Tool, ToolCall

TOOL: Tool = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Finds an <order> & more.",
        "parameters": {"type": "object", "properties": {"id": {"type": "string"}}},
    },
}
TALKS: list[tuple[list[Message], list[Tool]]] = [
    ([Message(role="user", content="Where is it? In Köln.")], []),
    (
        [
            Message(role="system", content="Be brief."),
            Message(role="user", content=" Hello. "),
            Message(role="assistant", content="<think>\nHm.\n</think>\n\nYes."),
            Message(role="user", content="And now?"),
        ],
        [],
    ),
    (
        [
            Message(role="user", content="Where is order 7?"),
            Message(
                role="assistant",
                content="",
                tool_calls=(ToolCall(name="look_up", arguments='{"id": "7"}'),),
            ),
            Message(role="tool", content='{"at": "the door"}'),
        ],
        [TOOL],
    ),
]


def said(make: Any) -> object:
    """What something gives, or the fault that it raises."""
    try:
        return make()
    except UserError as fault:
        return str(fault)


def kept_of(tokenizer: ChatTokenizer, folder: Path) -> ChatTokenizer:
    keep_tokenizer(folder, tokenizer, 128, cache=folder)
    kept = kept_tokenizer(folder, cache=folder)
    assert kept is not None
    return kept.tokenizer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_renders_and_counts_as_with_transformers(
    family: Family, kind: Kind, tmp_path: Path
) -> None:
    theirs = small_tokenizer(family, kind)
    ours = kept_of(theirs, tmp_path)
    for thinking in (False, True):
        set_thinking(theirs, thinking=thinking)
        set_thinking(ours, thinking=thinking)
        for turns, tools in TALKS:
            for make in (
                lambda t, turns=turns, tools=tools: render(t, turns, tools),
                lambda t, turns=turns, tools=tools: render_prompt(t, turns, tools),
                lambda t, turns=turns, tools=tools: answer_tokens(t, turns, "At the door.", tools),
            ):
                assert said(lambda make=make: make(ours)) == said(lambda make=make: make(theirs))
    assert ours.get_added_vocab() == theirs.get_added_vocab()
    assert (ours.bos_token, ours.eos_token) == (theirs.bos_token, theirs.eos_token)
    ids = ours.encode("In Köln.", add_special_tokens=True)
    assert ids == theirs.encode("In Köln.", add_special_tokens=True)
    assert ours.decode(ids) == theirs.decode(ids)


def test_what_was_found_once_is_found_again_without_transformers(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_tokenizer(Model(base=str(small_folder)), cache=tmp_path)
    monkeypatch.setattr(loading, "load_tokenizer", None)
    again = find_tokenizer(Model(base=str(small_folder)), cache=tmp_path)
    assert first.tokenizer is not None
    assert again.tokenizer is not None
    assert again.context_tokens == first.context_tokens
    turns = TALKS[1][0]
    assert answer_tokens(again.tokenizer, turns, "Yes.") == answer_tokens(
        first.tokenizer, turns, "Yes."
    )


def test_a_model_whose_files_changed_is_another_one(small_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    keep_tokenizer(folder, loading.load_tokenizer(small_folder), 128, cache=tmp_path)
    assert kept_tokenizer(folder, cache=tmp_path) is not None
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert kept_tokenizer(folder, cache=tmp_path) is None


def test_no_more_are_kept_than_a_person_uses(small_folder: Path, tmp_path: Path) -> None:
    tokenizer = loading.load_tokenizer(small_folder)
    for number in range(MAX_KEPT + 2):
        folder = tmp_path / f"model-{number}"
        folder.mkdir()
        keep_tokenizer(folder, tokenizer, 128, cache=tmp_path)
    assert kept_tokenizer(tmp_path / "model-0", cache=tmp_path) is None
    assert kept_tokenizer(tmp_path / f"model-{MAX_KEPT + 1}", cache=tmp_path) is not None


def test_several_templates_by_name_are_left_to_transformers(
    small_folder: Path, tmp_path: Path
) -> None:
    tokenizer: Any = loading.load_tokenizer(small_folder)
    tokenizer.chat_template = {"default": "{{ messages }}", "tool_use": "{{ tools }}"}
    keep_tokenizer(small_folder, tokenizer, 128, cache=tmp_path)
    assert kept_tokenizer(small_folder, cache=tmp_path) is None
