"""Films of articulated bodies: MuJoCo's own renderer, off screen, with or without a GPU.

OpenGL is loaded when the first picture is made, never by importing this file.
"""

import functools
import importlib
import io
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl_suite import files
from jaxrl_suite.core import UsageError
from jaxrl_suite.report import bodies, video

if TYPE_CHECKING:
    import mujoco

ENDINGS = (".gif", ".mp4", ".png")
STRIP_GAP = 4  # pixels between stills

# Runs in a process of its own: PyOpenGL binds to one backend for good, and a broken driver may
# take its process with it.
_PROBE = """
import mujoco
context = mujoco.GLContext(16, 16)
context.make_current()
model = mujoco.MjModel.from_xml_string("<mujoco/>")
mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100).free()
context.free()
"""
_ON = ("", "1", "on", "true", "enable", "enabled")  # MUJOCO_GL leaves the choice to us
_OFF = ("0", "off", "false", "disable", "disabled")
_MODULES = {"egl": "egl", "osmesa": "osmesa", "cgl": "cgl"}  # glx, wgl and glfw are all glfw
_REMEDY = 'on Debian "apt-get install libegl1 libgl1-mesa-dri" or "apt-get install libosmesa6"'


def film(
    mjcf: str,
    qpos: ArrayLike,
    *,
    timestep: float,
    fps: float,
    width: int = 320,
    height: int = 240,
    follow: bool = True,
    azimuth: float = 125.0,
    elevation: float = -16.0,
    zoom: float = 1.0,
) -> NDArray[np.uint8]:
    """Renders a trajectory in real time.

    The backend is EGL or else OSMesa, whichever works (with MUJOCO_GL set: that one).

    Args:
      mjcf: the model, as XML text.
      qpos: [T, nq], m and rad: any number of states.
      timestep: between two states, s.
      fps: frames a second; states are left out or shown twice to keep real time.
      width: of a frame in pixels.
      height: of a frame in pixels.
      follow: whether the camera goes along; otherwise it stands where it sees the whole path.
      azimuth: direction of view in degrees: 0 looks along x, 90 along y.
      elevation: degrees, negative looks down.
      zoom: above 1 is closer.

    Returns:
      uint8 [T', height, width, 3] with T' = 1 + floor((T - 1) timestep fps).

    Raises:
      UsageError: on a trajectory that does not fit the model, or without OpenGL.
    """
    if width < 1 or height < 1 or not zoom > 0:
        raise UsageError(f"width, height and zoom must be positive, not {width}, {height}, {zoom}")
    shown = bodies.motion(mjcf, qpos, timestep=timestep, fps=fps)
    mujoco = bodies.engine()
    camera = mujoco.MjvCamera()
    camera.azimuth, camera.elevation = azimuth, elevation
    targets, radius = shown.centres, shown.radius
    if not follow:
        low, high = targets.min(0), targets.max(0)
        targets = np.broadcast_to((low + high) / 2, targets.shape)
        radius = radius + float(np.linalg.norm(high - low)) / 2
    camera.distance = bodies.distance(radius, width / height) / zoom
    return np.stack(list(_pictures(shown, camera, targets, width, height)))


def strip(frames: ArrayLike, count: int = 8) -> NDArray[np.uint8]:
    """Stills side by side, evenly spaced in time from the first to the last.

    Args:
      frames: uint8 [T, height, width, 3].
      count: of stills; a film of fewer frames shows each once.

    Returns:
      uint8 [height, count * width + (count - 1) * STRIP_GAP, 3].
    """
    frames = _checked_frames(frames)
    if count < 1:
        raise UsageError(f"count must be at least 1, not {count}")
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    gap = np.full((frames.shape[1], STRIP_GAP, 3), 255, np.uint8)
    parts = [part for i in chosen for part in (gap, frames[i])]
    return np.concatenate(parts[1:], axis=1)


def write_film(frames: ArrayLike, path: str | os.PathLike, fps: float) -> Path:
    """Writes .gif, .mp4 (needs imageio-ffmpeg) or .png (a strip of stills).

    Args:
      frames: uint8 [T, height, width, 3].
      path: of the file, which appears complete or not at all.
      fps: frames a second; at most 50 in a GIF, without meaning in a strip.

    Returns:
      The path.
    """
    frames, path = _checked_frames(frames), Path(path)
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"fps must be positive, not {fps}")
    ending = path.suffix.lower()
    if ending == ".gif":
        return video.write_gif(frames, path, fps)
    if ending == ".png":
        return files.write_atomically(path, _png(strip(frames)))
    if ending == ".mp4":
        return files.write_atomically(path, _mp4(frames, fps))
    raise UsageError(f"cannot write {path}: its ending must be one of {', '.join(ENDINGS)}")


def _pictures(
    shown: bodies.Motion,
    camera: "mujoco.MjvCamera",
    targets: NDArray[np.float64],
    width: int,
    height: int,
) -> Iterator[NDArray[np.uint8]]:
    """Frames [height, width, 3], one a state; OpenGL is released when they end."""
    mujoco, model = bodies.engine(), shown.model
    visual = model.vis
    visual.global_.offwidth, visual.global_.offheight = width, height
    # Lengths of the renderer count in extents; with a vast floor the shadow would be one pixel.
    model.stat.extent = max(camera.distance / 2, 1e-3)
    visual.map.shadowclip = 3.5
    visual.quality.shadowsize = 2048
    data, option = mujoco.MjData(model), mujoco.MjvOption()
    scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 100)
    context = _context_class()(width, height)
    try:
        context.make_current()
        renderer = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, renderer)
        window = mujoco.MjrRect(0, 0, width, height)
        for state, target in zip(shown.qpos, targets, strict=True):
            data.qpos[:] = state
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)  # lights may track it
            mujoco.mj_camlight(model, data)
            # The shadow map covers what lies around a directional light: take it along.
            sunny = model.light_type == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
            data.light_xpos[sunny] = target - 9 * model.stat.extent * data.light_xdir[sunny]
            camera.lookat[:] = target
            mujoco.mjv_updateScene(
                model, data, option, None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene
            )
            mujoco.mjr_render(window, scene, renderer)
            picture = np.zeros((height, width, 3), np.uint8)
            mujoco.mjr_readPixels(picture, None, window, renderer)
            yield picture[::-1]  # OpenGL's rows go up
        renderer.free()
    finally:
        context.free()


def _context_class() -> type:
    """MuJoCo's class of off-screen contexts for the backend of choice.

    ``mujoco.Renderer`` would take the backend that MUJOCO_GL named when mujoco was first imported;
    by now anyone may have imported it, hence the backend's own class.
    """
    name = backend(os.environ.get("MUJOCO_GL", "").strip().lower())
    return importlib.import_module(f"mujoco.{_MODULES.get(name, 'glfw')}").GLContext


@functools.cache
def backend(wanted: str) -> str:
    """The first OpenGL backend that works on this machine: "egl", "osmesa", ...

    Args:
      wanted: what MUJOCO_GL says; a backend's name is the only one tried.

    Raises:
      UsageError: if none works; says what to install.
    """
    if wanted in _OFF:
        raise UsageError(f"MUJOCO_GL={wanted} switches rendering off: unset it")
    candidates = {"Linux": ("egl", "osmesa"), "Darwin": ("cgl",)}.get(platform.system(), ("glfw",))
    if wanted not in _ON:
        candidates = (wanted,)
    reasons = []
    for name in candidates:
        reason = _broken(name)
        if reason is None:
            return name
        reasons.append(f"{name}: {reason}")
    remedy = _REMEDY if platform.system() == "Linux" else "install an OpenGL driver"
    chosen = "" if wanted in _ON else f" (MUJOCO_GL={wanted} allows no other)"
    raise UsageError(f"no OpenGL backend works{chosen}; {remedy} ({'; '.join(reasons)})")


def _broken(name: str) -> str | None:
    """Why a backend does not work, or None if it does."""
    command, environment = [sys.executable, "-c", _PROBE], {**os.environ, "MUJOCO_GL": name}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return bodies.first_line(error)
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1][:160] if lines else f"ended with code {done.returncode}"


def _checked_frames(frames: ArrayLike) -> NDArray[np.uint8]:
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise UsageError(f"frames must be [T, height, width, 3], not {list(frames.shape)}")
    if frames.dtype != np.uint8:
        raise UsageError(f"frames must be uint8 (0 to 255), not {frames.dtype}")
    return frames


def _png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _mp4(frames: NDArray[np.uint8], fps: float) -> bytes:
    """H.264 that every browser plays, made in a temporary folder."""
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise UsageError(
            'writing .mp4 needs imageio-ffmpeg: pip install "jaxrl_suite[video]"'
        ) from error
    # The colours of four pixels are stored as one: odd sizes lose nothing by a repeated edge.
    odd = [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)]
    frames = np.ascontiguousarray(np.pad(frames, odd, mode="edge"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        writer = imageio_ffmpeg.write_frames(
            str(path), frames.shape[2:0:-1], fps=fps, quality=7, macro_block_size=1
        )
        try:
            writer.send(None)
            for frame in frames:
                writer.send(frame)
            writer.close()
        except OSError as error:
            raise UsageError(
                f"ffmpeg could not write the film: {bodies.first_line(error)}"
            ) from error
        return path.read_bytes()
