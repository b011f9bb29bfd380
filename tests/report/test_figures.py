import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import figures, stats, style
from jaxrl_suite.report import series as data

X = np.linspace(0, 2e6, 20)
RNG = np.random.default_rng(0)


def curve(seeds=5, level=1.0):
    return X, level + RNG.normal(size=(seeds, len(X)))


def lag():
    return [0, 1, 4, 16], RNG.normal(size=(5, 4))


DRAW = {
    "curves": lambda **k: figures.curves(
        {"V-trace": curve(), "random": curve(level=0)},
        x_label="frames",
        y_label="return",
        colours={"random": style.REFERENCE},
        **k,
    ),
    "legend": lambda **k: figures.curves(
        {f"series {i}": curve() for i in range(10)}, x_label="frames", y_label="return", **k
    ),
    "categorical": lambda **k: figures.intervals(
        {"none": lag(), "V-trace": lag()}, x_label="lag", y_label="return", **k
    ),
    "log": lambda **k: figures.intervals(
        {"a": ([1, 2, 4, 8], lag()[1]), "b": ([2, 4, 8, 16], lag()[1])},
        x_label="variants",
        y_label="return",
        x_scale="log",
        **k,
    ),
    "bars": lambda **k: figures.bars(
        ["easy", "hard", "new"],
        {"trained": RNG.normal(size=(5, 3)), "random": RNG.normal(size=(5, 3))},
        x_label="return",
        sections=["train", "train", "unseen"],
        **k,
    ),
    "heatmap": lambda **k: figures.heatmap(
        [[1, np.nan], [3, 4]], ["x1", "x2"], [1, 16], x_label="variants", y_label="width", **k
    ),
}


@pytest.mark.parametrize("kind", DRAW)
def test_saved_twice_gives_the_same_bytes(kind, tmp_path):
    global RNG
    written = []
    for folder in ("a", "b"):
        RNG = np.random.default_rng(0)
        paths = figures.save(DRAW[kind](title="T < 1 & ε"), tmp_path / folder / "figure.pdf")
        assert [path.name for path in paths] == ["figure.png", "figure.svg"]
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1]
    assert b"<dc:date>" not in written[0][1]


def test_no_pyplot_and_no_lasting_settings():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    DRAW["curves"]()
    assert dict(mpl.rcParams) == before


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_curves_show_the_mean_the_interval_and_the_seeds():
    y = RNG.normal(size=(5, len(X)))
    figure = figures.curves({"a": (X, y)}, x_label="frames", y_label="return")
    (ax,) = figure.axes
    np.testing.assert_allclose(ax.lines[0].get_ydata(), y.mean(0))
    band = ax.collections[0].get_paths()[0].vertices
    interval = stats.mean_interval(y)
    assert band[:, 1].max() == pytest.approx(interval.high.max())
    assert band[:, 1].min() == pytest.approx(interval.low.min())
    assert any("5 seeds" in text for text in texts(figure))


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ((1,), "1 seed: too few"),
        ((2,), "2 seeds: too few"),
        ((3, 5), "3 to 5 seeds"),
        ((5,), "mean of 5 seeds; bands: 95% interval (Student's t)"),
    ],
)
def test_caption_states_the_number_of_seeds(seeds, expected):
    series = {str(n): curve(n) for n in seeds}
    assert expected in data.caption(series, "bands")


def test_intervals_made_elsewhere_are_drawn_as_given():
    interval = stats.Interval([1.0, 2.0], [0.5, 1.0], [1.5, 4.0])
    series = {"IQM": (["a", "b"], interval)}
    figure = figures.intervals(series, x_label="game", y_label="score", subtitle="IQM, 5 runs")
    (bars,) = figure.axes[0].containers
    _, _, (whiskers,) = bars
    ends = np.array(whiskers.get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, [[0.5, 1.5], [1.0, 4.0]])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["a", "b"]


def test_end_labels_do_not_overlap():
    series = {name: (X, np.ones((3, len(X)))) for name in "abcdef"}
    figure = figures.curves(series, x_label="frames", y_label="return")
    FigureCanvasAgg(figure).draw()
    labels = [text for text in figure.axes[0].texts if text.get_text() in series]
    # Text's own method: an Annotation's extent includes the leader that starts at the line.
    boxes = sorted((box.y0, box.y1) for box in map(Text.get_window_extent, labels))
    assert len(boxes) == 6
    for (_, top), (bottom, _) in itertools.pairwise(boxes):
        assert top <= bottom + 1


def test_panels_share_one_figure():
    figure, axes = figures.panels(3, columns=2)
    for ax in axes:
        assert figures.intervals({"a": lag()}, x_label="lag", y_label=None, ax=ax) is figure
    assert len(figure.axes) == 3


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_text_reads_on_paper():
    """WCAG 2 contrast of 4.5 : 1 for text."""
    for ink in (style.INK, style.MUTED):
        assert (luminance(style.PAPER) + 0.05) / (luminance(ink) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.curves({}, x_label="x", y_label="y"), "at least one series"),
        (
            lambda: figures.curves({"a": ([1], [1.0])}, x_label="x", y_label="y"),
            r"series 'a': y must be \[seeds, x\], not \[1\]",
        ),
        (
            lambda: figures.curves({"a": ([1, 2], np.ones((3, 4)))}, x_label="x", y_label="y"),
            "series 'a': 2 x, but y for 4",
        ),
        (
            lambda: figures.intervals({"a": lag()}, x_label="x", y_label="y", x_scale="cubic"),
            "not 'cubic'",
        ),
        (
            lambda: figures.bars(["a"], {"s": [[1.0]]}, x_label="x", sections=["t", "u"]),
            "1 groups need as many sections, not 2",
        ),
        (
            lambda: figures.heatmap([[1]], [1, 2], [1], x_label="x", y_label="y"),
            r"\[2 rows, 1 columns\], not \[1, 1\]",
        ),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_a_figure_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "occupied").write_text("a file, not a folder")
    with pytest.raises(UsageError, match="cannot write"):
        figures.save(DRAW["heatmap"](), tmp_path / "occupied" / "figure")
    assert [path.name for path in tmp_path.iterdir()] == ["occupied"]
