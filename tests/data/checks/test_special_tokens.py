import pytest

from tunewise.data.checks.special_tokens import SpecialTokens


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("stop <|im_end|> now", "<|im_end|>"),
        ("a </s> b", "</s>"),
        ("[INST] hi [/INST]", "[INST]"),
        ("<start_of_turn>user", "<start_of_turn>"),
        ("<<SYS>> be kind", "<<SYS>>"),
        ("<｜User｜>hi", "<｜User｜>"),
        ("if a < b and c[0] > d: pass", None),
        ("<b>bold</b> [1] [note]", None),
    ],
)
def test_the_marks_of_well_known_templates_are_found(text: str, token: str | None) -> None:
    assert SpecialTokens().first_in(text) == token


def test_the_tokens_of_the_projects_own_tokenizer_are_found_too() -> None:
    own = SpecialTokens(["<repo_name>", "▁<EOT>", "[MASK]", "\n\n", "of", "  "])
    assert own.first_in("see <repo_name> there") == "<repo_name>"
    assert own.first_in("a [MASK] b") == "[MASK]"
    assert own.first_in("x▁<EOT>") == "▁<EOT>"
    assert own.first_in("a text of words\n\nand lines") is None
    assert SpecialTokens().first_in("see <repo_name> there") is None
