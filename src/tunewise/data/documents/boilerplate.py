"""Finds what stands on every page of a web site and says nothing of its own: menus, banners,
footers, cookie notices. By role, by element and, where it also looks like one, by its names.
"""

import re

from bs4 import BeautifulSoup, Tag

_ROLES = frozenset({"navigation", "banner", "contentinfo", "complementary", "search", "menubar"})
_OWN = ["main", "article", "aside", "section", "nav"]
"""Elements whose header and footer belong to them, and not to the site (HTML, 4.3.8 and 4.3.9)."""
_CONTENT = ["main", "article"]
_NOTE = re.compile(
    r"note|tip|hint|info|warning|caution|danger|important|admonition|callout|example|aside-"
)
_OFFER = re.compile(
    r"related|sidebar|promo|advert|share|social|newsletter|recommend|widget|\btoc\b|menu|banner"
)
_COOKIES = re.compile(
    r"(?:^|[-_\s])(?:cookies?|consent|gdpr)[-_]?(?:banner|bar|notice|consent|popup|dialog|overlay"
    r"|modal|message|law|wall|layer|hint|info|manager|box|container|disclaimer)"
    r"|cookieconsent|cookie-?law|onetrust|cybotcookie|usercentrics|(?:^|\s)(?:cookies?|gdpr)(?:\s|$)"
)
_MENU = re.compile(
    r"(?:^|[-_\s])(?:nav|navbar|navigation|topnav|menu|mainmenu|submenu|menubar|breadcrumbs?"
    r"|skip-?links?|pagination|sitemap|toc)(?:$|[-_\s])"
)
_FOOTER = re.compile(r"(?:^|\s)(?:(?:site|page|main|global)[-_])?footer(?:\s|$)")
_MAX_NOTICE = 150
"""Words of a cookie notice: what is longer is the page about them."""
_MAX_ENTRY = 4
"""Words of an entry of a menu."""


def drop_boilerplate(page: BeautifulSoup) -> bool:
    """Takes it out of a page; its only heading of level 1 stays, wherever it stands.

    Returns:
        whether there was any with text in it.
    """
    titles = page.find_all("h1")
    title = titles[0] if len(titles) == 1 else None
    dropped = False
    for tag in page.find_all(True):
        if tag.decomposed or not _is_boilerplate(tag, title) or tag.find(_CONTENT) is not None:
            continue
        if title is not None and _inside(title, tag):
            tag.insert_before(title.extract())
        dropped = dropped or bool(tag.get_text(strip=True))
        tag.decompose()
    return dropped


def _is_boilerplate(tag: Tag, title: Tag | None) -> bool:
    role, names = str(tag.get("role", "")).strip().lower(), _names(tag)
    if tag.name in ("html", "body", "h1", *_CONTENT):
        return False
    if tag.name == "nav" or role in _ROLES:
        return True
    if _COOKIES.search(names) or (role in ("dialog", "alertdialog") and "cookie" in names):
        return len(tag.get_text(" ").split()) <= _MAX_NOTICE
    if tag.name in ("header", "footer"):
        own = title is not None and _inside(title, tag) and tag.find(["a", "ul", "button"]) is None
        return not own and not _under(tag, _OWN)
    if tag.name == "aside":
        if role == "note" or _NOTE.search(names):
            return False
        return not _under(tag, _CONTENT) or bool(_OFFER.search(names))
    if tag.name in ("a", "li"):
        return False
    if _FOOTER.search(names):
        return not _under(tag, _CONTENT)
    return bool(_MENU.search(names)) and not _under(tag, _CONTENT) and _is_menu(tag)


def _inside(tag: Tag, other: Tag) -> bool:
    return any(parent is other for parent in tag.parents)


def _under(tag: Tag, names: list[str]) -> bool:
    """Whether it lies in one of these elements, or in what has their role."""
    return any(p.name in names or p.get("role") in ("main", "article") for p in tag.parents)


def _names(tag: Tag) -> str:
    """The element's id, classes and label, in small letters."""
    names = (tag.get_attribute_list(what) for what in ("id", "class", "aria-label"))
    return " ".join(str(name) for some in names for name in some).lower()


def _is_menu(tag: Tag) -> bool:
    """Whether it holds links, or a list of a few words each, above the page's first heading."""
    words = len(tag.get_text(" ").split())
    linked = sum(len(link.get_text(" ").split()) for link in tag.find_all(["a", "button"]))
    if 2 * linked >= words:
        return True
    items = tag.find_all("li")
    listed = sum(len(i.get_text(" ").split()) for i in items if i.find("li") is None)
    short = all(len(i.get_text(" ").split()) <= _MAX_ENTRY for i in items if not i.find("li"))
    return bool(items) and short and listed == words and tag.find_previous(["h1", "h2"]) is None
