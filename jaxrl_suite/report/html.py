"""One HTML page that holds everything: figures, videos, tables, facts. Opens offline, prints well.

Everything is inlined and the page's content security policy forbids any request, so a report
can be mailed, archived and opened years later. Whatever callers pass is escaped; in texts,
`backticks` become code and web addresses become links.
"""

import base64
import html
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from jaxrl_suite import files
from jaxrl_suite.core import UsageError
from jaxrl_suite.report import figures, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEDIA = {".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
STYLESHEET = Path(__file__).with_name("page.css")

# Colours of a figure that follow the page's; the data keep theirs.
_THEMED = {style.INK: "--ink", style.MUTED: "--muted", style.FAINT: "--line", style.PAPER: "--card"}

_NUMBER = re.compile(
    r"[-+−]?\d[\d.,]*(e[-+]?\d+)?\s?[x×%kKMG]?(\s?±\s?\d[\d.,]*)?(\s?\[[^\]]*\])?|nan|[-+]?inf"
)


class Page:
    """A report, written top to bottom.

    Example::

      page = Page("IMPALA on breakout", "V-trace, 16 variants")
      page.tiles([("31.4", "return, trained", "5 seeds"), ("0.5", "return, random", "")])
      page.section("Learning", "Mean return of finished episodes.").figure(figure, "Every seed ...")
      page.facts({"preset": "quick", "jax": jax.__version__})
      page.write("report.html")

    Every method but :meth:`write` returns the page.
    """

    def __init__(self, title: str, subtitle: str = ""):
        self._title = title
        self._subtitle = subtitle
        self._sections: list[str] = []
        self._blocks: list[str] = []
        self._drawings = itertools.count()

    def section(self, title: str, text: str = "") -> Self:
        """Begins a section, which the contents at the top name; blank lines part paragraphs."""
        self._sections.append(title)
        if len(self._sections) > 1:
            self._blocks.append("</section>")
        self._blocks.append(f'<section id="s{len(self._sections)}"><h2>{_plain(title)}</h2>')
        return self.text(text) if text else self

    def text(self, text: str) -> Self:
        """Adds paragraphs."""
        paragraphs = [part for part in re.split(r"\n\s*\n", text.strip()) if part]
        return self._add("".join(f"<p>{_inline(part)}</p>" for part in paragraphs))

    def tiles(self, tiles: Sequence[tuple[object, str, str]]) -> Self:
        """Adds a row of headline numbers: ``(value, what it is, a note)`` each."""
        boxes = "".join(
            f'<div class="tile"><b>{_plain(value)}</b><span>{_plain(label)}</span>'
            f"<small>{_plain(note)}</small></div>"
            for value, label, note in tiles
        )
        return self._add(f'<div class="tiles">{boxes}</div>')

    def table(
        self, header: Sequence[object], rows: Sequence[Sequence[object]], caption: str = ""
    ) -> Self:
        """Adds a table; columns of numbers are set flush right."""
        for row in rows:
            if len(row) != len(header):
                raise UsageError(f"table row {list(row)!r} needs {len(header)} cells")
        columns = zip(*rows, strict=True) if rows else ([] for _ in header)
        numeric = [bool(column) and all(map(_is_number, column)) for column in columns]

        def line(cells: Sequence[object], tag: str) -> str:
            marked = zip(cells, numeric, strict=True)
            return "".join(
                f"<{tag}{' class=n' if n else ''}>{_inline(_number(cell))}</{tag}>"
                for cell, n in marked
            )

        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
        head = f"<thead><tr>{line(header, 'th')}</tr></thead>"
        title = f"<caption>{_inline(caption)}</caption>" if caption else ""
        return self._add(
            f'<div class="scroll"><table>{title}{head}<tbody>{body}</tbody></table></div>'
        )

    def figure(self, figure: "Figure | str | os.PathLike", caption: str = "") -> Self:
        """Adds a figure of :mod:`figures`, or a file: .svg, .png, .jpg or .gif."""
        if isinstance(figure, str | os.PathLike):
            path = Path(figure)
            if path.suffix.lower() == ".svg":
                return self._captioned(self._drawing(_read(path)), caption)
            return self._captioned(_picture(path, caption), caption)
        return self._captioned(self._drawing(figures.svg(figure)), caption)

    def gif(self, path: str | os.PathLike, caption: str = "") -> Self:
        """Adds a video; its pixels stay square and sharp when enlarged."""
        return self._captioned(_picture(Path(path), caption, css="video"), caption)

    def facts(self, facts: Mapping[str, object], title: str = "Run facts") -> Self:
        """Adds what repeating the run needs: configuration, versions, device; may be nested."""
        return self._add(
            f'<details open class="facts"><summary>{_plain(title)}</summary>'
            f"{_definitions(facts)}</details>"
        )

    def html(self) -> str:
        """The whole page."""
        contents = "".join(
            f'<a href="#s{i}">{_plain(title)}</a>' for i, title in enumerate(self._sections, 1)
        )
        return _TEMPLATE.format(
            title=_plain(self._title),
            subtitle=f'<p class="subtitle">{_inline(self._subtitle)}</p>' if self._subtitle else "",
            contents=f"<nav>{contents}</nav>" if len(self._sections) > 1 else "",
            style=STYLESHEET.read_text(),
            body="\n".join(self._blocks) + ("</section>" if self._sections else ""),
        )

    def write(self, path: str | os.PathLike) -> Path:
        """Writes the page, whole or not at all, and returns its path."""
        return files.write_atomically(path, self.html().encode())

    def _add(self, block: str) -> Self:
        self._blocks.append(block)
        return self

    def _captioned(self, content: str, caption: str) -> Self:
        text = f"<figcaption>{_inline(caption)}</figcaption>" if caption else ""
        return self._add(f"<figure>{content}{text}</figure>")

    def _drawing(self, svg: bytes) -> str:
        """SVG as part of the page: own identifiers, and the page's ink and paper."""
        text = svg.decode()
        start = text.find("<svg")
        if start < 0:
            raise UsageError("not an SVG drawing: it has no <svg> element")
        text = text[start:]  # without XML declaration and document type
        # Points become somewhat larger pixels: a page is read from further away than paper.
        text = re.sub(
            r'<svg ([^>]*?)width="([\d.]+)pt"',
            lambda m: f'<svg {m[1]}style="--width: {1.75 * float(m[2]):.0f}px"',
            text,
            count=1,
        )
        text = re.sub(r'(<svg [^>]*?)height="[\d.]+pt"', r"\1", text, count=1)
        own = f"d{next(self._drawings)}-"
        text = re.sub(r'\bid="', f'id="{own}', text)
        text = re.sub(r'href="#', f'href="#{own}', text)
        text = re.sub(r"url\(#", f"url(#{own}", text)
        for colour, variable in _THEMED.items():
            text = re.sub(f"{colour}\\b", f"var({variable})", text, flags=re.IGNORECASE)
        return text


def _definitions(facts: Mapping[str, object]) -> str:
    items = "".join(
        f"<dt>{_plain(key)}</dt><dd>"
        f"{_definitions(value) if isinstance(value, Mapping) else _inline(_number(value))}</dd>"
        for key, value in facts.items()
    )
    return f"<dl>{items}</dl>"


def _picture(path: Path, caption: str, css: str = "picture") -> str:
    media = MEDIA.get(path.suffix.lower())
    if media is None:
        raise UsageError(f"cannot show {path}: its ending must be one of .svg, {', '.join(MEDIA)}")
    data = base64.b64encode(_read(path)).decode()
    return f'<img class="{css}" alt="{_plain(caption)}" src="data:{media};base64,{data}">'


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _plain(text: object) -> str:
    return html.escape(str(text))


def _inline(text: object) -> str:
    """Escaped text with `code` and links."""
    escaped = re.sub(r"`([^`]+)`", r"<code>\1</code>", _plain(text))
    return re.sub(r"https?://[^\s<>&]*[^\s<>&.,;:)]", r'<a href="\g<0>">\g<0></a>', escaped)


def _is_number(cell: object) -> bool:
    """Whether a cell reads as a number: 31.4, "-3", "12x", "31.4 ± 0.2", "0.5 [0.4, 0.7]"."""
    return not str(cell) or bool(_NUMBER.fullmatch(str(cell)))


def _number(cell: object) -> object:
    """Four significant digits for a fraction; everything else as it is."""
    return f"{cell:.4g}" if isinstance(cell, float) else cell


_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1>{subtitle}{contents}</header>
<main>
{body}
</main>
</body>
</html>
"""
