"""Web pages as they are saved from sites, old and new."""

from pathlib import Path

import pytest

from tunewise.data.documents.read import html_blocks, read_documents
from tunewise.errors import UserError


def test_html_keeps_headings_lists_and_tables_and_drops_scripts_and_navigation() -> None:
    title, blocks = html_blocks(
        "<html><head><title>Shop | Stove</title><style>p {}</style></head><body>"
        "<nav>Home</nav><h1>Ember stove</h1><p>Burns <b>gas</b>.</p><script>alert(1)</script>"
        "<h2>Specs</h2><ul><li>90 g</li><li>2 kW</li></ul>"
        "<table><tr><th>Part</th><th>g</th></tr><tr><td>Knob</td><td>4</td></tr></table>"
        "</body></html>"
    )
    assert title == "Ember stove"
    assert [(block.headings, block.kind, block.text.strip()) for block in blocks] == [
        ((), "prose", "Burns gas."),
        (("Specs",), "list", "- 90 g\n- 2 kW"),
        (("Specs",), "table", "| Part | g |\n|---|---|\n| Knob | 4 |"),
    ]


def texts(markup: str) -> list[str]:
    return [block.text for block in html_blocks(markup)[1]]


MAIN = "<main><h1>Filling the bottle</h1><p>Leave two fingers of air.</p></main>"


@pytest.mark.parametrize(
    "around",
    [
        "<nav><ul><li>Home</li><li>Offers</li></ul></nav>",
        '<div role="navigation"><ul><li>Home</li><li>Offers</li></ul></div>',
        '<div class="menu"><ul><li>Home</li><li>Offers</li></ul></div>',
        '<ul id="main-nav" class="nav navbar"><li><a href="/">Home</a></li><li>Offers</li></ul>',
        '<div class="breadcrumb"><a href="/">Home</a> / <a href="/o">Offers</a></div>',
        '<header><a href="/">Home</a> <a href="/o">Offers</a></header>',
        '<div role="banner">Home <a href="/o">Offers</a></div>',
        "<footer>Home. Offers. Terms.</footer>",
        '<div role="contentinfo">Home. Offers.</div>',
        '<div class="site-footer"><p>Home. Offers.</p></div>',
        "<aside>Home and Offers</aside>",
        '<div role="complementary">Home and Offers</div>',
        '<div id="cookie-banner" role="dialog">Home uses cookies. Accept all Offers.</div>',
        '<div class="cc cookie-consent">Home uses cookies. Accept all Offers.</div>',
        '<section aria-label="Cookie notice" role="dialog">Home uses cookies. Offers.</section>',
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["above", "below"])
def test_what_stands_on_every_page_of_a_site_is_dropped(around: str, before: bool) -> None:
    if not before and 'class="menu"' in around:
        return  # below a heading a list without links may be anything
    markup = f"<body>{around}{MAIN}</body>" if before else f"<body>{MAIN}{around}</body>"
    title, blocks = html_blocks(markup)
    assert title == "Filling the bottle"
    assert [block.text for block in blocks] == ["Leave two fingers of air."]


@pytest.mark.parametrize(
    "inside",
    [
        '<div class="menu"><ul><li>Tomato soup 4,50</li></ul></div>',
        "<article><header><p>Tomato soup</p></header></article>",
        '<article><aside class="note">Tomato soup</aside></article>',
        "<article><footer>Tomato soup</footer></article>",
        '<p class="cookie-recipe">Tomato soup</p>',
        "<div hidden><p>Tomato soup</p></div>",
    ],
)
def test_what_belongs_to_the_text_stays(inside: str) -> None:
    found = texts(f"<body><main><h1>Today</h1>{inside}</main></body>")
    assert "Tomato soup" in "".join(found)


def test_a_heading_in_the_banner_stays_where_it_is_the_pages_only_one() -> None:
    title, blocks = html_blocks(
        '<body><header><h1>Care of boots</h1><a href="/">Shop</a></header><p>Wax them.</p></body>'
    )
    assert (title, [block.text for block in blocks]) == ("Care of boots", ["Wax them."])


def test_a_page_that_is_nothing_but_a_menu_is_read_whole() -> None:
    assert texts('<body><div role="navigation"><p>Tomato soup 4,50</p></div></body>') == [
        "Tomato soup 4,50"
    ]


def test_a_layout_of_tables_is_read_as_text_and_its_data_as_tables() -> None:
    page = (
        "<table><tr><td><table><tr><td>Size</td><td>cm</td></tr><tr><td>42</td><td>26.5</td></tr>"
        "</table></td><td><h1>Sizes</h1><p>Measure in the evening.</p></td></tr></table>"
    )
    title, blocks = html_blocks(page)
    assert title == "Sizes"
    assert [block.text for block in blocks] == [
        "| Size | cm |\n| 42 | 26.5 |",
        "Measure in the evening.",
    ]


def test_tables_keep_captions_pipes_and_cells_that_span_rows() -> None:
    found = texts(
        "<table><caption>Weights</caption><tr><th>Pole</th><th>Length</th><th>g</th></tr>"
        '<tr><td rowspan="2">red|blue</td><td>long</td><td>90</td></tr>'
        "<tr><td>short</td><td>70</td></tr></table>"
    )
    assert found[0] == "Weights"
    assert found[1].splitlines() == [
        "| Pole | Length | g |",
        "|---|---|---|",
        "| red\\|blue | long | 90 |",
        "| red\\|blue | short | 70 |",
    ]


def test_words_stay_whole_and_lists_keep_their_numbers_and_levels() -> None:
    found = texts(
        "<p>H<sub>2</sub>O, un<b>break</b>able,\n 10<sup>3</sup> g</p>"
        "<ol><li>Open<ul><li>the <i>red</i> cap</li></ul></li><li>Fill</li></ol>\n   <p>Done.</p>"
    )
    assert found == [
        "H2O, unbreakable, 10^3 g",
        "1. Open\n  - the red cap\n2. Fill",
        "Done.",
    ]


def test_a_line_that_looks_like_markdown_is_text() -> None:
    title, blocks = html_blocks("<p># of seats: 4</p><p>---</p><p>| x</p>")
    assert title == ""
    assert [block.text for block in blocks] == ["# of seats: 4", "---", "| x"]


def test_chapters_are_named_by_the_pages_title() -> None:
    page = "<title>Stove</title><h1>Use</h1><p>Light it.</p><h1>Care</h1><p>Brush it.</p>"
    title, blocks = html_blocks(page)
    assert title == "Stove"
    assert [block.headings for block in blocks] == [("Use",), ("Care",)]


# --- encodings

UMLAUTS = "<p>Größe 42 paßt, 20 € – „gut“</p>"


@pytest.mark.parametrize(
    ("declared", "codec"),
    [
        ('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">', "cp1252"),
        ("<meta charset=windows-1252>", "cp1252"),
        ("<META CHARSET='ISO-8859-15'>", "iso8859-15"),
        ('<?xml version="1.0" encoding="cp1252"?>', "cp1252"),
        ('<meta charset="utf-8">', "utf-8"),
        ('<meta charset="iso-8859-1">', "utf-8"),
        ("", "utf-8"),
        ("", "utf-8-sig"),
        ("", "utf-16"),
        ('<meta charset="utf-8">', "utf-16"),
    ],
)
def test_a_page_is_read_in_the_encoding_it_declares(
    declared: str, codec: str, tmp_path: Path
) -> None:
    text = UMLAUTS.replace("–", "-").replace("„", '"').replace("“", '"')
    markup = f"{declared}{text if codec == 'iso8859-15' else UMLAUTS}"
    (tmp_path / "a.html").write_bytes(markup.encode(codec))
    (document,) = read_documents(tmp_path)
    assert document.blocks[0].text.startswith("Größe 42 paßt, 20 €")


def test_other_scripts_are_read_as_declared(tmp_path: Path) -> None:
    for name, charset, text in (
        ("ru", "windows-1251", "Размер обуви"),
        ("ja", "Shift_JIS", "靴のサイズ①"),
        ("zh", "gb2312", "鞋子的尺寸镕"),
        ("ko", "euc-kr", "신발 크기"),
    ):
        codec = {"Shift_JIS": "cp932", "gb2312": "gbk"}.get(charset, charset)
        raw = f'<meta charset="{charset}"><p>{text}</p>'.encode(codec)
        (tmp_path / f"{name}.html").write_bytes(raw)
        (document,) = read_documents(tmp_path / f"{name}.html")
        assert document.blocks[0].text == text


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("<p>Größe".encode("cp1252"), "line 1 is not UTF-8. Save the file as UTF-8."),
        (
            '<meta charset="utf-8">\n<p>Größe'.encode("cp1252"),
            "declares utf-8, and line 2 is not utf-8. Save the page as UTF-8.",
        ),
        (
            '<meta charset="latin9000"><p>Größe'.encode("cp1252"),
            "declares the unknown encoding 'latin9000'. Save the page as UTF-8.",
        ),
        (
            b"MIME-Version: 1.0\nContent-Type: multipart/related;\n\n<html>",
            "is a web archive (.mht). Save the page as a single .html file.",
        ),
    ],
)
def test_a_page_in_no_known_encoding_is_named(raw: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(raw)
    with pytest.raises(UserError) as fault:
        read_documents(tmp_path)
    assert str(fault.value) == f"{tmp_path / 'a.html'}: {why}"


def test_a_page_nested_beyond_reason_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<div>" * 2_000 + "deep")
    with pytest.raises(UserError, match="nested too deeply"):
        read_documents(tmp_path)
