"""Markdown of reports → HTML: no element of anybody else's, no picture from elsewhere, links only where links may lead."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from release_pipelines.core.links import web_link

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

LOWEST = 6


def markdown(text: str) -> Markup:
    """A text of Markdown as HTML, its headings one level lower than they say: the page has a title of its own."""
    return Markup(_reader().render(text))  # noqa: S704 - the reader lets no HTML through


@cache
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    made.normalizeLink = lambda url: web_link(url) or url  # type: ignore[method-assign]
    made.validateLink = lambda url: web_link(url) is not None  # type: ignore[method-assign]
    made.core.ruler.push("dressed", _dressed)
    made.add_render_rule("table_open", _table_open)
    made.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return made


def _dressed(state: Any) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 1, LOWEST)}"
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type == "inline":
            token.children = list(_led(token.children))


def _led(tokens: list[Any]) -> Iterator[Any]:
    """The tokens of a line without links that lead nowhere: their text stays."""
    nowhere = False
    for token in tokens:
        if token.type == "link_open":
            nowhere = not token.attrGet("href")
        if not (nowhere and token.type in ("link_open", "link_close")):
            yield token
        nowhere = nowhere and token.type != "link_close"


def _table_open(*_: Any) -> str:
    return '<div class="wide" tabindex="0"><table>\n'
