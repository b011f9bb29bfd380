import re
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import figures, html, style, video

EVIL = "<script>alert('x')</script> & \"quoted\""


class Tags(HTMLParser):
    """Tags with their attributes, all text, and a check that every tag is closed."""

    VOID = frozenset({"meta", "img", "br", "path", "use"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def figure():
    x = np.arange(5)
    series = {name: (x, np.random.default_rng(0).normal(size=(5, 5))) for name in ("a", "b")}
    return figures.curves(series, x_label="frames", y_label="return", title=EVIL)


@pytest.fixture
def page(figure, tmp_path):
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    png, svg = figures.save(figure, tmp_path / "figure")
    page = html.Page(f"T {EVIL}", f"S {EVIL}")
    page.tiles([(31.4, f"label {EVIL}", f"note {EVIL}")])
    page.section(f"First {EVIL}", f"Text {EVIL} `code`, see https://arxiv.org/abs/1802.01561.")
    page.figure(figure, f"caption {EVIL}").figure(svg).figure(str(png))
    page.gif(video.write_gif(frames, tmp_path / "video.gif"), f"video {EVIL}")
    page.section("Second", "One.\n\nTwo.")
    page.table(["name", "return"], [[EVIL, 1 / 3], ["b", "31.4 ± 0.2"]], EVIL)
    return page.facts({"config": {"T": 20, EVIL: EVIL}, "jax": "0.10"})


def test_nothing_is_fetched(page):
    for tag, attributes in Tags(page.html()).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            if name in ("src", "srcset", "poster", "data", "href", "xlink:href", "action"):
                fetched = not (tag == "a" and name == "href")  # a link is not followed by itself
                assert not fetched or value.startswith(("data:", "#")), (tag, name, value[:80])
    assert "default-src 'none'" in page.html()
    assert "@import" not in page.html()
    assert not re.search(r"url\((?!#)", page.html())


def test_everything_is_escaped(page):
    parsed = Tags(page.html())
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert "<script>" not in page.html()
    # Title (head and body), subtitle, tile, section and its entry, text, captions, cells, facts.
    assert parsed.text.count(EVIL) == 14
    assert f"caption {EVIL}" in parsed.text
    (alt,) = [a["alt"] for tag, a in parsed.tags if tag == "img" and "video" in a["class"]]
    assert alt == f"video {EVIL}"


def test_identifiers_are_unique_and_references_resolve(page):
    tags = Tags(page.html()).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page.html())
    assert references
    assert {a or b for a, b in references} <= set(ids)


def test_figures_follow_light_and_dark(page):
    drawings = "".join(re.findall(r"<svg.*?</svg>", page.html(), re.DOTALL))
    assert style.INK not in drawings
    assert "var(--ink)" in drawings
    assert style.PALETTE[0] in drawings
    assert "prefers-color-scheme: dark" in page.html()


def test_text_code_links_and_tables(page):
    text = page.html()
    assert "<code>code</code>" in text
    link = "https://arxiv.org/abs/1802.01561"
    assert f'<a href="{link}">{link}</a>.</p>' in text
    assert "<p>One.</p><p>Two.</p>" in text
    assert "<td class=n>0.3333</td>" in text
    assert "<td class=n>31.4 ± 0.2</td>" in text
    assert '<a href="#s2">Second</a>' in text


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *((cell, True) for cell in (3, -0.5, "61x", "12 %", "0.5 [0.4, 0.7]", "", "nan", "1e-3")),
        *((cell, False) for cell in ("mode 0", "0-1", "3 modes")),
    ],
)
def test_what_counts_as_a_number(cell, number):
    aligned = "<td class=n>" in html.Page("T").table(["a"], [[cell]]).html()
    assert aligned == number


def test_written_pages_are_reproducible(page, tmp_path):
    path = page.write(tmp_path / "runs" / "report.html")
    assert path.read_text() == page.html()
    assert path.read_bytes() == page.write(tmp_path / "again.html").read_bytes()


def test_an_empty_page_is_a_page():
    assert Tags(html.Page("Nothing yet").html()).tags[0][0] == "html"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda page: page.table(["a", "b"], [[1]]), r"row \[1\] needs 2 cells"),
        (lambda page: page.figure("plot.pdf"), "plot.pdf: its ending must be one of .svg, .png"),
        (lambda page: page.figure("absent.png"), "cannot read absent.png: No such file"),
        (lambda page: page.write("/proc/report.html"), "cannot write /proc/report.html"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(UsageError, match=message):
        call(html.Page("T"))
