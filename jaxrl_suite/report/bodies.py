"""Trajectories of articulated bodies, made ready for showing: films and the viewer build on this.

Models without lights, sky or colours of their own get ours, so that a bare MJCF looks decent.
"""

import math
import os
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import style

if TYPE_CHECKING:
    import mujoco

FLOOR = "jaxrl floor"  # the material of grounds that came without a colour
SMOOTHING = 0.35  # s: standard deviation of the average that the camera follows
UNPAINTED = (0.5, 0.5, 0.5, 1.0)  # MuJoCo's default rgba: nobody chose a colour
VIEW_ANGLE = 40.0  # degrees, vertical
FILL = 0.95  # how much of the ball's distance is kept: bodies seldom reach its rim

# Sky and floor, as 0 to 1; the sky meets the haze of the horizon.
_ZENITH, _HORIZON = (0.52, 0.66, 0.80), (0.90, 0.93, 0.95)
_TILES = (0.80, 0.82, 0.84), (0.70, 0.73, 0.76)
_STONE = (0.62, 0.64, 0.66, 1.0)
_SUN = (0.45, 0.18, -1.0)  # direction of the light


class Motion(NamedTuple):
    """A trajectory as it is shown: F states, evenly spaced in real time.

    model: compiled and dressed, with the qpos of the given MJCF.
    qpos: [F, nq], m and rad.
    positions: [F, bodies, 3] of the body frames in the world, m.
    rotations: [F, bodies, 4], unit quaternions, w first.
    centres: [F, 3] what a camera that follows looks at, m: smoothed, hence at rest while legs kick.
    radius: of the ball around a centre that holds every moving part, m.
    """

    model: "mujoco.MjModel"
    qpos: NDArray[np.float64]
    positions: NDArray[np.float64]
    rotations: NDArray[np.float64]
    centres: NDArray[np.float64]
    radius: float


def motion(mjcf: str, qpos: ArrayLike, *, timestep: float, fps: float) -> Motion:
    """Checks a trajectory against its model and finds where every body is when shown.

    Args:
      mjcf: the model, as XML text.
      qpos: [T, nq], m and rad.
      timestep: between two states, s.
      fps: shown states a second.
    """
    for name, value in (("timestep", timestep), ("fps", fps)):
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"{name} must be positive, not {value}")
    model = dressed(mjcf)
    try:
        qpos = np.asarray(qpos, np.float64)
    except (ValueError, TypeError) as error:
        raise UsageError(f"qpos must be an array of numbers: {first_line(error)}") from error
    if qpos.ndim != 2 or qpos.shape[1] != model.nq:
        raise UsageError(f"qpos must be [T, {model.nq}] for this model, not {list(qpos.shape)}")
    if not len(qpos):
        raise UsageError("the trajectory is empty: qpos holds no state")
    finite = np.isfinite(qpos).all(1)
    if not finite.all():
        raise UsageError(f"qpos is not finite at state {int(np.argmin(finite))} of {len(qpos)}")
    # A hair more than the last instant: rounding must not lose the last frame.
    count = 1 + math.floor((len(qpos) - 1) * timestep * fps + 1e-6)
    states = np.arange(count) / (fps * timestep)
    qpos = qpos[np.minimum(np.round(states).astype(int), len(qpos) - 1)]
    return _measured(model, qpos, fps)


def engine() -> ModuleType:
    """MuJoCo, imported when needed; with MUJOCO_GL naming a missing library it cannot be."""
    try:
        import mujoco
    except Exception as error:  # PyOpenGL raises AttributeError, MuJoCo RuntimeError
        raise UsageError(
            f"cannot import mujoco with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')!r}: "
            f"{first_line(error)}"
        ) from error
    return mujoco


def dressed(mjcf: str) -> "mujoco.MjModel":
    """Compiles an MJCF text; lights, sky and colours that it lacks are ours.

    Every tree of bodies has its hue, lighter from the trunk to the tips. What has a colour or a
    material keeps it, and nothing that moves is added.
    """
    mujoco = engine()
    try:
        spec = mujoco.MjSpec.from_string(mjcf)
        if not spec.lights:
            _add_lights(mujoco, spec)
        if not any(texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX for texture in spec.textures):
            _add_sky(mujoco, spec)
        _paint(mujoco, spec)
        model = spec.compile()
    except (ValueError, TypeError) as error:
        raise UsageError(f"cannot read the MJCF: {first_line(error)}") from error
    model.vis.global_.fovy = VIEW_ANGLE
    return model


def distance(radius: float, aspect: float = 1.0) -> float:
    """How far off, in metres, a camera of VIEW_ANGLE sees a ball whole.

    Args:
      radius: of the ball, m.
      aspect: width of the picture over its height; the narrower pair of edges counts.
    """
    half = math.radians(VIEW_ANGLE / 2)
    return FILL * radius / math.sin(min(half, math.atan(math.tan(half) * aspect)))


def first_line(error: Exception) -> str:
    """What an error of another library says, short enough for one line of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _add_lights(mujoco: ModuleType, spec: "mujoco.MjSpec") -> None:
    head = spec.visual.headlight
    head.ambient, head.diffuse, head.specular = [0.42] * 3, [0.28] * 3, [0.05] * 3
    spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0, 0, 4],
        dir=_SUN,
        diffuse=[0.6] * 3,
        specular=[0.2] * 3,
        castshadow=True,
    )


def _add_sky(mujoco: ModuleType, spec: "mujoco.MjSpec") -> None:
    spec.add_texture(
        name="jaxrl sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=_ZENITH,
        rgb2=_HORIZON,
        width=256,
        height=256,
    )
    spec.visual.rgba.haze = [*_HORIZON, 1]


def _paint(mujoco: ModuleType, spec: "mujoco.MjSpec") -> None:
    """Colours every geom that came with neither material nor rgba."""
    flat = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)
    grounds = [geom for geom in spec.worldbody.geoms if geom.type in flat and _bare(geom)]
    if grounds:
        spec.add_texture(
            name=FLOOR,
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
            rgb1=_TILES[0],
            rgb2=_TILES[1],
            width=256,
            height=256,
        )
        # Squares of half a metre: MuJoCo counts repeats in two metres, a repeat is two squares.
        material = spec.add_material(name=FLOOR, texuniform=True, texrepeat=[2, 2], specular=0.1)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = FLOOR
    for geom in grounds:
        geom.material = FLOOR
    for geom in spec.worldbody.geoms:
        if _bare(geom):
            geom.rgba = _STONE
    for tree, root in enumerate(spec.worldbody.bodies):
        _paint_tree(root, style.PALETTE[tree % len(style.PALETTE)], 0)


def _paint_tree(body: "mujoco.MjsBody", hue: str, depth: int) -> None:
    base = np.array([int(hue[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    light = min(0.12 + 0.16 * depth, 0.6)
    for geom in body.geoms:
        if _bare(geom):
            geom.rgba = [*(base + light * (1 - base)), 1]
    for child in body.bodies:
        _paint_tree(child, hue, depth + 1)


def _bare(geom: "mujoco.MjsGeom") -> bool:
    return not geom.material and np.allclose(geom.rgba, UNPAINTED)


def _measured(model: "mujoco.MjModel", qpos: NDArray[np.float64], fps: float) -> Motion:
    """Kinematics of every shown state, and what a camera needs to know of it."""
    mujoco = engine()
    data = mujoco.MjData(model)
    positions = np.zeros((len(qpos), model.nbody, 3))
    rotations = np.zeros((len(qpos), model.nbody, 4))
    moving = np.flatnonzero(model.body_weldid)
    roots = moving[model.body_weldid[model.body_parentid[moving]] == 0]
    bodies = np.flatnonzero(np.isin(model.geom_bodyid, moving))  # geoms that move
    reach = model.geom_rbound[bodies]
    centres, radius = np.zeros((len(qpos), 3)), 0.0
    for i, state in enumerate(qpos):
        data.qpos[:] = state
        mujoco.mj_kinematics(model, data)
        positions[i], rotations[i] = data.xpos, data.xquat
        if roots.size:
            centres[i] = data.xpos[roots].mean(0)
        if bodies.size:
            away = np.linalg.norm(data.geom_xpos[bodies] - centres[i], axis=1)
            radius = max(radius, float((away + reach).max()))
    if not bodies.size:
        centres[:], radius = model.stat.center, float(model.stat.extent)
    return Motion(model, qpos, positions, rotations, _smooth(centres, SMOOTHING * fps), radius)


def _smooth(path: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """A Gaussian average over time, which neither lags nor leads; steady motion stays as it is."""
    half = math.ceil(3 * deviation)
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / max(deviation, 1e-9)) ** 2)
    # Turned about its ends rather than held there: a body that sets off fast stays in view.
    padded = np.pad(path, ((half, half), (0, 0)), mode="reflect", reflect_type="odd")
    columns = [np.convolve(column, weights / weights.sum(), mode="valid") for column in padded.T]
    return np.stack(columns, -1)
