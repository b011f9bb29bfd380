"""One HTML page that shows recordings of bodies in 3D: turn it, zoom, play, pause, step.

Everything is inlined, three.js included, and the content security policy allows our scripts
by their hashes and no request at all: the page opens from a disk, offline, years later. Texts are
escaped, so a title cannot become markup.
"""

import base64
import hashlib
import html
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl_suite import files
from jaxrl_suite.core import UsageError
from jaxrl_suite.report import bodies

if TYPE_CHECKING:
    import mujoco

FPS = 30.0  # poses a second in the page, which interpolates between them
SHAPES = ("plane", "hfield", "sphere", "capsule", "ellipsoid", "cylinder", "box")
SCRIPTS = ("vendor/three.min.js", "viewer_bodies.js", "viewer.js")  # in the order of their use
SHOWN_GROUPS = 3  # MuJoCo shows geoms of the groups 0, 1 and 2

_HERE = Path(__file__).parent


class Recording(NamedTuple):
    """What one body, or several, did.

    title: a few words, plain text.
    caption: a sentence or two, plain text.
    mjcf: the model, as XML text; terrain is its hfield and box geoms.
    qpos: [T, nq], m and rad: any number of states.
    timestep: between two states, s.
    """

    title: str
    caption: str
    mjcf: str
    qpos: ArrayLike
    timestep: float


def write_viewer(path: str | os.PathLike, title: str, recordings: Sequence[Recording]) -> Path:
    """Writes the page.

    Links may open it at a place: ``#recording=1&frame=10&pause&speed=0.5`` (both count from 0).

    Args:
      path: of the file, which appears complete or not at all.
      title: of the page, plain text.
      recordings: at least one; with several the page lists them.

    Returns:
      The path.

    Raises:
      UsageError: on a recording that does not fit its model or holds a shape beyond SHAPES.
    """
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"cannot write {path}: its ending must be .html")
    if not recordings:
        raise UsageError("a viewer needs at least one recording")
    packed = []
    for recording in recordings:
        try:
            packed.append(_packed(recording))
        except UsageError as error:
            raise UsageError(f"recording {recording.title!r}: {error}") from error
    # Inside <script> nothing but "<" can end the element or open a comment.
    data = json.dumps(packed, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    scripts = [_script(name) for name in SCRIPTS]
    page = _TEMPLATE.format(
        title=html.escape(title),
        hashes=" ".join(f"'sha256-{_hash(script)}'" for script in scripts),
        style=_read("page.css") + _read("viewer.css"),
        data=data,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    return files.write_atomically(path, page.encode())


def _packed(recording: Recording) -> dict:
    """A recording as JSON; arrays are base64 of little-endian numbers.

    positions: float32 [F, B, 3] of the B moving bodies, m.
    rotations: int16 [F, B, 4], unit quaternions (x, y, z, w) times 32767: good to 0.003 degrees.
    centres: float32 [F, 3], what a camera that follows looks at, m.
    """
    shown = bodies.motion(recording.mjcf, recording.qpos, timestep=recording.timestep, fps=FPS)
    moving = np.flatnonzero(shown.model.body_weldid)
    quaternions = shown.rotations[:, moving][..., [1, 2, 3, 0]]
    return {
        "title": recording.title,
        "caption": recording.caption,
        "fps": FPS,
        "frames": len(shown.qpos),
        "bodies": len(moving),
        "radius": shown.radius,
        "distance": bodies.distance(shown.radius),
        "geoms": _geoms(shown, {int(body): i for i, body in enumerate(moving)}),
        "positions": _base64(shown.positions[:, moving], "<f4"),
        "rotations": _base64(np.rint(quaternions * 32767), "<i2"),
        "centres": _base64(shown.centres, "<f4"),
    }


def _geoms(shown: bodies.Motion, slots: dict[int, int]) -> list[dict]:
    """Visible geoms: shape, sizes (m), colour, and pose in their body, or in the world if at rest.

    Args:
      shown: the motion.
      slots: place in the packed poses of each body that moves.
    """
    mujoco, model = bodies.engine(), shown.model
    data = mujoco.MjData(model)
    data.qpos[:] = shown.qpos[0]
    mujoco.mj_kinematics(model, data)
    geoms = []
    for i in range(model.ngeom):
        material = int(model.geom_matid[i])
        rgba = model.mat_rgba[material] if material >= 0 else model.geom_rgba[i]
        if model.geom_group[i] >= SHOWN_GROUPS or rgba[3] <= 0:
            continue
        shape = mujoco.mjtGeom(model.geom_type[i]).name.removeprefix("mjGEOM_").lower()
        if shape not in SHAPES:
            raise UsageError(f"the viewer shows {', '.join(SHAPES)}; geom {i} is a {shape}")
        slot = slots.get(int(model.geom_bodyid[i]), -1)
        position, rotation = model.geom_pos[i], model.geom_quat[i]
        if slot < 0:
            rotation = np.zeros(4)
            position = data.geom_xpos[i]
            mujoco.mju_mat2Quat(rotation, data.geom_xmat[i])
        geom = {
            "shape": shape,
            "size": _rounded(model.geom_size[i]),
            "position": _rounded(position),
            "rotation": _rounded(rotation[[1, 2, 3, 0]]),
            "body": slot,
            # Grounds that came without a colour take the page's, light or dark.
            "rgba": None if material >= 0 and _is_floor(model, material) else _rounded(rgba),
        }
        if shape == "hfield":
            geom |= _height_field(model, int(model.geom_dataid[i]))
        geoms.append(geom)
    return geoms


def _height_field(model: "mujoco.MjModel", field: int) -> dict:
    """A height field: heights uint16 [rows (y), columns (x)], 65535 being the full elevation."""
    rows, columns = int(model.hfield_nrow[field]), int(model.hfield_ncol[field])
    start = int(model.hfield_adr[field])
    heights = model.hfield_data[start : start + rows * columns]
    return {
        "size": _rounded(model.hfield_size[field]),  # half x, half y, elevation, base
        "rows": rows,
        "columns": columns,
        "heights": _base64(np.rint(np.clip(heights, 0, 1) * 65535), "<u2"),
    }


def _is_floor(model: "mujoco.MjModel", material: int) -> bool:
    return model.mat(material).name == bodies.FLOOR


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), 6) for value in values]


def _base64(values: NDArray[np.float64], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()


def _read(name: str) -> str:
    return _HERE.joinpath(name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    """A script that may stand inside <script>, where only this sequence could end it."""
    return _read(name).replace("</script", "<\\/script")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {hashes}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main>
<div class="stage">
<div class="view">
<canvas id="canvas" role="img" aria-label="3D view of the recording"></canvas>
<p id="message" role="alert">This page needs JavaScript, which is switched off here.</p>
</div>
<div class="controls" id="controls" hidden>
<button id="play" type="button" aria-label="Play"></button>
<input id="slider" type="range" min="0" step="1" value="0" aria-label="Time">
<output id="clock"></output>
<label>Speed <select id="speed"><option>0.25</option><option>0.5</option>
<option selected>1</option><option>2</option></select></label>
<button id="follow" type="button" aria-pressed="true">Follow</button>
<button id="reset" type="button">Reset view</button>
</div>
<div class="words"><h2 id="title"></h2><p id="caption"></p></div>
</div>
<nav class="gallery" id="gallery" aria-label="Recordings" hidden></nav>
<p class="keys">Drag to turn, wheel or pinch to zoom. <kbd>Space</kbd> plays and pauses,
<kbd>←</kbd> <kbd>→</kbd> step, with <kbd>Shift</kbd> the arrows turn, <kbd>+</kbd> <kbd>-</kbd>
zoom, <kbd>F</kbd> follows, <kbd>R</kbd> resets the view.</p>
</main>
<script type="application/json" id="recordings">{data}</script>
{scripts}
</body>
</html>
"""
