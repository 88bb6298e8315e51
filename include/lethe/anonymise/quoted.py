"""Views of text stored as quoted-printable (RFC 2045, 6.7) or as HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from lethe.anonymise.edits import Edit, View

_ESCAPES = re.compile(r"(?:=(?:[0-9A-Fa-f]{2}|[ \t]*\r?\n))+")
_ESCAPE = re.compile(r"=(?:([0-9A-Fa-f]{2})|[ \t]*\r?\n)")
_LONGEST_LINE = 76

Token = tuple[int, int, str]  # where it stands, and the name of a tag in lower case

# Elements that stand within a word or a line; all others separate what they stand between.
_INLINE = frozenset(
    ("a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd")
)
_INLINE |= {
    "label",
    "mark",
    "o:p",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "tt",
    "u",
    "var",
    "wbr",
}
_BLOCK = frozenset(
    ("address", "article", "aside", "base", "blockquote", "body", "br", "button", "caption", "center", "col")
)
_BLOCK |= {
    "colgroup",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
}
_BLOCK |= {
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "iframe",
    "img",
    "input",
    "legend",
    "li",
    "link",
    "main",
}
_BLOCK |= {
    "meta",
    "nav",
    "ol",
    "optgroup",
    "option",
    "p",
    "pre",
    "script",
    "section",
    "select",
    "style",
    "summary",
    "table",
}
_BLOCK |= {"tbody", "td", "textarea", "tfoot", "th", "thead", "title", "tr", "ul", "video"}
_ENTITY = re.compile(r"&(?:\#[0-9]{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_TOKEN = re.compile(
    rf"</?(?P<tag>[A-Za-z][A-Za-z0-9]*(?::[A-Za-z]+)?)(?P<attributes>(?:[\s/][^<>]*)?)>|<!--|<![A-Za-z][^<>]*>|{_ENTITY.pattern}"
)
_VALUE = re.compile(r"=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")


def is_quoted_printable(text: str) -> bool:
    """Whether anything in the text may be an escape or a soft line break."""
    return "=" in text and _ESCAPES.search(text) is not None


def quoted_view(text: str) -> tuple[View, str]:
    """The view of a quoted-printable text, and its charset: UTF-8, or Latin-1 where it is not."""
    view = View()
    charset = "utf-8"
    behind = 0
    for run in _ESCAPES.finditer(text):
        view.add(text[behind : run.start()], behind, run.start())
        escapes = [match for match in _ESCAPE.finditer(text, *run.span()) if match[1]]
        letters, charset = _decoded(bytes(int(escape[1], 16) for escape in escapes), charset)
        at = 0
        for char in letters:
            width = len(char.encode(charset))
            view.add(char, escapes[at].start(), escapes[at + width - 1].end())
            at += width
        behind = run.end()
    view.add(text[behind:], behind, len(text))
    return view, charset


def _decoded(octets: bytes, charset: str) -> tuple[str, str]:
    try:
        return octets.decode(charset), charset
    except UnicodeDecodeError:
        return octets.decode("latin-1"), "latin-1"


def quoted(text: str, charset: str) -> str:
    """A mark in quoted-printable."""
    return "".join(
        char if char.isascii() else "".join(f"={octet:02X}" for octet in char.encode(charset)) for char in text
    )


def short_lines(text: str, edits: list[Edit]) -> list[Edit]:
    """The edits with soft breaks around what would make a line longer than quoted-printable allows."""
    break_ = "=\r\n" if "\r\n" in text else "=\n"
    result: list[Edit] = []
    line, column = 0, 0
    for edit in edits:
        start = text.rfind("\n", line, edit.start) + 1
        if start > line or not result:
            line, column = max(line, start), 0
            column = edit.start - line
        else:
            column += edit.start - result[-1].end
        new = edit.new
        if new and column + len(new) >= _LONGEST_LINE:
            new, column = break_ + new, 0
        column += len(new.removeprefix(break_))
        ends = text.find("\n", edit.end)
        rest = (len(text) if ends < 0 else ends) - edit.end
        if new and rest > 1 and column + rest > _LONGEST_LINE:
            new, column = new + break_, 0
        result.append(Edit(edit.start, edit.end, new, edit.kinds))
    return result


def is_html(text: str) -> bool:
    """Whether there is an element of HTML or an entity in the text."""
    return any(_is_markup(token) for token in _TOKEN.finditer(text)) if "<" in text or "&" in text else False


def _is_markup(token: re.Match[str]) -> bool:
    tag = token["tag"]
    return tag is None or tag.lower() in _INLINE or tag.lower() in _BLOCK


def html_views(text: str) -> Iterator[View]:
    """The views of what is between tags, of each value of an attribute, and of each comment.

    What is between tags is seen twice: as a browser shows it, and with each tag parting what it stands between.
    """
    tokens = list(_tokens(text))
    yield _between_tags(text, tokens, _INLINE)
    yield _between_tags(text, tokens, frozenset())
    for start, end, tag in tokens:
        if text.startswith("<!--", start):
            yield _with_entities(text, start + 4, end - 3)
        elif tag:
            for value in _VALUE.finditer(text, start, end):
                yield _with_entities(text, *value.span(value.lastindex or 0))


def _between_tags(text: str, tokens: list[Token], inline: frozenset[str]) -> View:
    view = View()
    behind = 0
    for start, end, tag in tokens:
        view.add(text[behind:start], behind, start)
        if text[start] == "&":
            view.add(html.unescape(text[start:end]), start, end)
        elif tag not in inline:
            view.add("\n", start, start)
        behind = end
    view.add(text[behind:], behind, len(text))
    return view


def _tokens(text: str) -> Iterator[Token]:
    """Tags, comments and entities, in order; a comment that is never closed is text."""
    behind = 0
    last_comment = text.rfind("-->")
    for token in _TOKEN.finditer(text):
        start, end = token.span()
        if start < behind or not _is_markup(token):
            continue
        if token[0] == "<!--":
            if end > last_comment:
                continue
            end = text.index("-->", end) + 3
        yield start, end, (token["tag"] or "").lower()
        behind = end


def _with_entities(text: str, start: int, end: int) -> View:
    view = View()
    for entity in _ENTITY.finditer(text, start, end):
        view.add(text[start : entity.start()], start, entity.start())
        view.add(html.unescape(entity[0]), *entity.span())
        start = entity.end()
    view.add(text[start:end], start, end)
    return view
