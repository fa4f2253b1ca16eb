"""Markdown as people and site generators keep it."""

from pathlib import Path

import pytest

from tunewise.data.documents.read import Document, markdown_blocks, read_documents

MANUAL = """---
author: someone
---
# Kestrel 2 *tent*

Two people.

Care
----
Wash by hand.

### Drying ###
Hang it up.

## Parts

In the bag:

- 2 poles
- 12 pegs
  of aluminium

| Part | g |
|---|---|
| Pole | 90 |

```sh
# not a heading
```
"""


def test_markdown_becomes_blocks_under_their_headings() -> None:
    title, blocks = markdown_blocks(MANUAL)
    assert title == "Kestrel 2 tent"
    assert [(block.headings, block.kind, block.text) for block in blocks] == [
        ((), "prose", "Two people."),
        (("Care",), "prose", "Wash by hand."),
        (("Care", "Drying"), "prose", "Hang it up."),
        (("Parts",), "list", "In the bag:\n- 2 poles\n- 12 pegs\n  of aluminium"),
        (("Parts",), "table", "| Part | g |\n|---|---|\n| Pole | 90 |"),
        (("Parts",), "code", "```sh\n# not a heading\n```"),
    ]


def test_markdown_without_headings_is_prose_without_a_title() -> None:
    title, blocks = markdown_blocks("One.\n\nTwo.\r\n")
    assert title == ""
    assert [block.text for block in blocks] == ["One.", "Two."]


def test_a_fence_that_is_never_closed_loses_nothing() -> None:
    _, blocks = markdown_blocks("```\nthe end")
    assert [block.text for block in blocks] == ["```\nthe end"]


def read(folder: Path, text: str, name: str = "page.md") -> Document:
    (folder / name).write_bytes(text.encode())
    (document,) = read_documents(folder)
    return document


def said(document: Document) -> str:
    """Everything of a document that can be found."""
    blocks = [part for block in document.blocks for part in (*block.headings, block.text)]
    return "\n".join([document.title, *blocks])


@pytest.mark.parametrize(
    "front",
    [
        '---\ntitle: "Hanging the lamp"\nlayout: manual\nnav_order: 3\n---\n',
        "\ufeff---\r\ntitle: Hanging the lamp\r\ntags:\r\n  - lamps\r\nlayout: manual\r\n---\r\n",
        "---\ntitle: Hanging the lamp\nlayout: manual\n...\n",
        "---\ntitle: 'Hanging the lamp'\nlayout: {{ page.layout }}\nlead: Lamps: a guide\n---\n",
        "---\nTitle: Hanging the lamp\nLayout: manual\n---\n",
        '+++\ntitle = "Hanging the lamp"\nlayout = "manual"\n[params]\nweight = 2\n+++\n',
        '{\n  "title": "Hanging the lamp",\n  "layout": "manual"\n}\n',
    ],
    ids=["yaml", "crlf", "dots", "no-yaml", "capitals", "toml", "json"],
)
def test_front_matter_is_dropped_and_its_title_is_the_documents(front: str, tmp_path: Path) -> None:
    document = read(tmp_path, f"{front}\nUse the small hook.\n\n## Height\n\nTwo metres.\n")
    assert document.title == "Hanging the lamp"
    assert [(block.headings, block.text) for block in document.blocks] == [
        ((), "Use the small hook."),
        (("Height",), "Two metres."),
    ]


def test_a_heading_beside_the_title_of_the_front_matter_stays(tmp_path: Path) -> None:
    document = read(tmp_path, "---\ntitle: Lamp Nova\n---\n# First use\n\nPull the tab.\n")
    assert (document.title, document.blocks[0].headings) == ("Lamp Nova", ("First use",))
    document = read(tmp_path, "---\ntitle: Lamp Nova\n---\n# Lamp Nova\n\nPull the tab.\n")
    assert (document.title, document.blocks[0].headings) == ("Lamp Nova", ())


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nThe pool opens in June.\n\n---\n\nTowels are there.\n",
        "---\nNote: the pool opens in June.\n---\nTowels are there.\n",
        "---\n\n# The pool opens in June\n\n---\n\nTowels are there.\n",
        "---\n- The pool opens in June.\n- It is warm.\n---\nTowels are there.\n",
        "***\n\nThe pool opens in June.\n\n***\n\nTowels are there.\n",
        "+++\n\nThe pool opens in June.\n\n+++\n\nTowels are there.\n",
    ],
    ids=["prose", "a sentence with a colon", "a heading", "a list", "stars", "pluses"],
)
def test_text_between_two_rules_is_no_front_matter(text: str, tmp_path: Path) -> None:
    found = said(read(tmp_path, text))
    assert "pool opens in June" in found
    assert "Towels are there." in found
    assert "---" not in found


def test_of_template_tags_the_text_between_them_stays(tmp_path: Path) -> None:
    document = read(
        tmp_path,
        "---\ntitle: Charging\n---\n"
        "{% capture steps %}\nPlug it in for two hours.\n{% endcapture %}\n"
        '{% include tabs.html id="a" %}\n{{ page.title | escape }}\n'
        "{{< notice warning >}}Never in the rain.{{< /notice >}}\n"
        "{% comment %}to do: ask Kim{% endcomment %}\n<!-- reviewed -->\n{: .lead }\n"
        "{% raw %}Write {{ name }} in it.{% endraw %}\n",
    )
    found = said(document)
    for kept in ("Plug it in for two hours.", "Never in the rain.", "Write {{ name }} in it."):
        assert kept in found
    for tag in ("{%", "{{<", "page.title", "ask Kim", "reviewed", "lead"):
        assert tag not in found


def test_templates_that_a_text_is_about_stay(tmp_path: Path) -> None:
    text = "Write `{% if user %}` first, or {{ user }}:\n\n```\n{% if user %}\n{{ user }}\n```\n"
    document = read(tmp_path, text)
    assert [block.text for block in document.blocks] == [
        "Write `{% if user %}` first, or {{ user }}:",
        "```\n{% if user %}\n{{ user }}\n```",
    ]


def test_headings_with_nothing_below_them_are_text(tmp_path: Path) -> None:
    document = read(tmp_path, "# Hours\n\n## Closed on Sundays\n\n## Open till six {#late}\n")
    assert [block.text for block in document.blocks] == ["Closed on Sundays", "Open till six"]
    assert document.title == "Hours"


def test_lines_may_end_as_on_any_system(tmp_path: Path) -> None:
    document = read(tmp_path, "# Old\r\rOne.\r\rTwo.\r", "old.md")
    assert [block.text for block in document.blocks] == ["One.", "Two."]


def test_what_was_dropped_is_said(tmp_path: Path) -> None:
    from tunewise.data.documents.read import look_at_documents

    (tmp_path / "a.md").write_text("---\ntitle: A\n---\n{% if x %}\nText.\n")
    (tmp_path / "b.md").write_text("Text of its own.")
    assert look_at_documents(tmp_path).left_out == {
        "front matter (its title is kept)": ("a.md",),
        "template tags (the text between them is kept)": ("a.md",),
    }
