"""Short videos as GIF, and montages of many of them. Needs Pillow, which matplotlib brings."""

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxrl_suite import files
from jaxrl_suite.core import UsageError

CAPTION_PIXELS = 16  # height of a caption strip
GAP_PIXELS = 6  # between tiles, and around them
GROUND, CAPTION = (22, 24, 29), (214, 219, 226)  # of the montage: the rooms of a dark gallery


def write_gif(
    frames: NDArray[np.uint8], path: str | os.PathLike, fps: float = 15, *, scale: int = 1
) -> Path:
    """Writes an endlessly looping GIF.

    With at most 256 colours in all (every arcade game) the picture is exact; otherwise one
    palette is made for all frames, without dithering, so that still parts stay still.

    Args:
      frames: uint8 [T, height, width, 3].
      path: of the file, which appears complete or not at all.
      fps: frames a second. GIF counts in hundredths of a second and browsers slow down
        anything under 0.02 s: at most 50, and 15 comes out as 14.3.
      scale: every pixel becomes a square of this many.

    Returns:
      The path.
    """
    frames = _checked(frames, "THWC")
    if not 0 < fps <= 50:
        raise UsageError(f"fps must be above 0 and at most 50, not {fps}")
    if scale < 1:
        raise UsageError(f"scale must be at least 1, not {scale}")
    images = _paletted(frames)
    if scale > 1:
        from PIL.Image import Resampling

        images = [
            image.resize((image.width * scale, image.height * scale), Resampling.NEAREST)
            for image in images
        ]
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=10 * max(2, round(100 / fps)),
        loop=0,
    )
    return files.write_atomically(path, buffer.getvalue())


def tile(
    frames: NDArray[np.uint8],
    columns: int | None = None,
    labels: Sequence[str] | None = None,
    *,
    scale: int = 1,
) -> NDArray[np.uint8]:
    """A montage: N videos side by side, each under its caption.

    Args:
      frames: uint8 [N, T, height, width, 3].
      columns: tiles a row; by default about as many as rows.
      labels: N captions; one wider than its tile is cut short.
      scale: every pixel becomes a square of this many; captions keep their size.

    Returns:
      uint8 [T, height', width', 3].
    """
    frames = _checked(frames, "NTHWC").repeat(scale, axis=2).repeat(scale, axis=3)
    count, length, height, width, _ = frames.shape
    columns = min(count, columns or int(np.ceil(np.sqrt(count))))
    if columns < 1:
        raise UsageError(f"columns must be at least 1, not {columns}")
    if labels is not None and len(labels) != count:
        raise UsageError(f"{count} videos need as many labels, not {len(labels)}")
    strip = CAPTION_PIXELS if labels is not None else 0
    rows = -(-count // columns)
    step_y, step_x = height + strip + GAP_PIXELS, width + GAP_PIXELS
    canvas = np.empty((length, rows * step_y + GAP_PIXELS, columns * step_x + GAP_PIXELS, 3), "u1")
    canvas[:] = GROUND
    for i in range(count):
        row, column = divmod(i, columns)
        y, x = GAP_PIXELS + row * step_y, GAP_PIXELS + column * step_x
        if labels is not None:
            canvas[:, y : y + strip, x : x + width] = _caption(labels[i], width)
        canvas[:, y + strip : y + strip + height, x : x + width] = frames[i]
    return canvas


def _caption(text: str, width: int) -> NDArray[np.uint8]:
    """A strip [CAPTION_PIXELS, width, 3] that says `text`, or as much of it as fits."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(11)
    if font.getlength(text) > width:
        while text and font.getlength(text + "…") > width:
            text = text[:-1]
        text += "…"
    mask = Image.new("L", (width, CAPTION_PIXELS))
    ImageDraw.Draw(mask).text((0, 1), text, fill=255, font=font)
    # Five steps from ground to ink: smooth letters that leave the palette to the game.
    cover = np.round(np.asarray(mask)[..., None] / 255 * 4) / 4
    return (GROUND + cover * np.subtract(CAPTION, GROUND)).astype(np.uint8)


def _paletted(frames: NDArray[np.uint8]) -> list:
    """Frames as images that share one palette."""
    from PIL import Image

    # One number a colour, as np.unique is far quicker on numbers than on rows.
    codes = frames.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours = np.unique(codes)
    if colours.size > 256:
        # Sixteen frames stand for all when choosing the colours.
        sample = frames[np.linspace(0, len(frames) - 1, min(16, len(frames))).astype(int)]
        strip = Image.fromarray(sample.reshape(-1, *sample.shape[2:]))
        palette = strip.quantize(256)
        return [
            Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in frames
        ]
    rgb = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], -1).astype(np.uint8)
    images = []
    for index in np.searchsorted(colours, codes).astype(np.uint8):
        image = Image.fromarray(index, "P")
        image.putpalette(rgb.tobytes())
        images.append(image)
    return images


def _checked(frames: NDArray[np.uint8], axes: str) -> NDArray[np.uint8]:
    frames = np.asarray(frames)
    if frames.ndim != len(axes) or frames.shape[-1] != 3 or 0 in frames.shape:
        named = ", ".join(axes[:-1])
        raise UsageError(f"frames must be [{named}, 3], not {list(frames.shape)}")
    if frames.dtype != np.uint8:
        raise UsageError(f"frames must be uint8 (0 to 255), not {frames.dtype}")
    return frames
