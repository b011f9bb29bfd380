import numpy as np
import pytest
from PIL import Image, ImageSequence

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import video

RNG = np.random.default_rng(0)
FEW = RNG.integers(0, 256, (7, 3), dtype=np.uint8)


def arcade(*shape):
    return FEW[RNG.integers(0, len(FEW), shape)]


def read(path):
    with Image.open(path) as image:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
        return np.stack(frames), image.info


def test_few_colours_are_kept_exactly(tmp_path):
    frames = arcade(6, 10, 12)
    path = video.write_gif(frames, tmp_path / "new" / "game.gif", fps=20, scale=3)
    read_back, info = read(path)
    np.testing.assert_array_equal(read_back, frames.repeat(3, 1).repeat(3, 2))
    assert info["duration"] == 50
    assert info["loop"] == 0
    assert [p.name for p in path.parent.iterdir()] == ["game.gif"]


def test_many_colours_stay_close(tmp_path):
    ramp = np.linspace(0, 255, 40).astype(np.uint8)
    frame = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 128), -1).astype(np.uint8)
    frames = np.stack([frame, frame[::-1]])
    read_back, _ = read(video.write_gif(frames, tmp_path / "ramp.gif"))
    np.testing.assert_array_equal(read_back[0], read_back[1][::-1])  # no dithering
    assert np.abs(read_back.astype(int) - frames).mean() < 8


def test_the_same_frames_give_the_same_bytes(tmp_path):
    frames = arcade(4, 8, 8)
    a, b = (video.write_gif(frames, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert a == b


def test_tiles_lie_where_they_should():
    frames = arcade(5, 3, 20, 30)
    montage = video.tile(frames, 2, list("abcde"), scale=2)
    gap, strip = video.GAP_PIXELS, video.CAPTION_PIXELS
    assert montage.shape == (3, 3 * (40 + strip + gap) + gap, 2 * (60 + gap) + gap, 3)
    y, x = gap + 1 * (40 + strip + gap) + strip, gap + 60 + gap
    np.testing.assert_array_equal(
        montage[:, y : y + 40, x : x + 60], frames[3].repeat(2, 1).repeat(2, 2)
    )
    # The sixth place stays empty, the captions do not.
    assert (montage[:, -40:, -60:] == video.GROUND).all()
    assert (montage[:, gap : gap + strip, gap : gap + 60] == video.CAPTION).all(-1).any()


def test_tile_without_labels_is_about_square_and_long_captions_are_cut():
    assert video.tile(arcade(4, 1, 10, 10)).shape == (1, 2 * 16 + 6, 2 * 16 + 6, 3)
    assert video.tile(arcade(1, 1, 10, 10), labels=["far too long"]).shape[2] == 10 + 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: video.write_gif(np.zeros((3, 4, 4)), p), r"\[T, H, W, 3\], not \[3, 4, 4\]"),
        (lambda p: video.write_gif(np.zeros((1, 4, 4, 3)), p), "uint8 .* not float64"),
        (lambda p: video.write_gif(arcade(1, 4, 4), p, fps=60), "at most 50, not 60"),
        (lambda p: video.write_gif(arcade(1, 4, 4), p, scale=0), "at least 1, not 0"),
        (lambda p: video.tile(arcade(2, 1, 4, 4), labels=["a"]), "2 videos .* not 1"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(call, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        call(tmp_path / "x.gif")
    assert not list(tmp_path.iterdir())
