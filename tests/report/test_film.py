import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest
from PIL import Image

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import bodies, film
from tests.physics.reference import quadruped_mjcf

FPS = 10


def has_opengl():
    try:
        film.backend("")
    except UsageError:
        return False
    return True


needs_opengl = pytest.mark.skipif(
    not has_opengl(), reason="no OpenGL: apt-get install libegl1 libgl1-mesa-dri, or libosmesa6"
)


def rolling(seconds=1.0, timestep=0.02, speed=3.0):
    """A ball [T, 7] that slides along x."""
    count = round(seconds / timestep) + 1
    qpos = np.tile([0, 0, 0.1, 1, 0, 0, 0], (count, 1)).astype(float)
    qpos[:, 0] = speed * timestep * np.arange(count)
    return qpos


BALL = """<mujoco><worldbody><geom type="plane" size="0 0 1"/>
<body><freejoint/><geom size=".1" {paint}/></body></worldbody></mujoco>"""
RED = BALL.format(paint='rgba="1 0 0 1"')


def redness(frame):
    red, green, blue = np.moveaxis(frame.astype(int), -1, 0)
    return (red - np.maximum(green, blue)).clip(0) > 60


@pytest.mark.parametrize("fps", [5, 25, 50, 120])
@pytest.mark.parametrize("timestep", [0.004, 0.02, 0.1])
def test_time_is_real(timestep, fps):
    qpos = rolling(1.0, timestep)
    shown = bodies.motion(RED, qpos, timestep=timestep, fps=fps)
    assert len(shown.qpos) == fps + 1
    # Frame k shows the state nearest to k / fps.
    wanted = 3.0 * np.arange(fps + 1) / fps
    assert np.abs(shown.qpos[:, 0] - wanted).max() <= 3.0 * timestep / 2 + 1e-9
    np.testing.assert_array_equal(shown.positions[:, 1], shown.qpos[:, :3])


def test_the_camera_neither_lags_nor_jumps():
    qpos = rolling(2.0)
    qpos[50:, 2] += 0.5  # a jump of the body
    centres = bodies.motion(RED, qpos, timestep=0.02, fps=50).centres
    np.testing.assert_allclose(centres[:, 0], qpos[:, 0], atol=1e-9)
    assert np.diff(centres[:, 2]).max() < 0.02


def test_what_the_model_says_of_colours_and_lights_stays():
    own = """<mujoco><worldbody><light pos="0 0 3"/>
    <geom type="plane" size="0 0 1" rgba="1 0 0 1"/><body><freejoint/>
    <geom size=".1" rgba="0 1 0 1"/><geom size=".2"/></body></worldbody></mujoco>"""
    model = bodies.dressed(own)
    assert model.nlight == 1
    np.testing.assert_allclose(model.geom_rgba[:2], [[1, 0, 0, 1], [0, 1, 0, 1]])
    assert not np.allclose(model.geom_rgba[2], bodies.UNPAINTED)


def test_dressing_changes_nothing_that_moves():
    mjcf = quadruped_mjcf()
    plain, dressed = mujoco.MjModel.from_xml_string(mjcf), bodies.dressed(mjcf)
    assert (plain.nq, plain.nv, plain.ngeom) == (dressed.nq, dressed.nv, dressed.ngeom)
    assert plain.nlight == 0
    assert dressed.nlight == 1
    assert len({tuple(rgba) for rgba in dressed.geom_rgba[1:]}) == 4  # trunk, hip, thigh or calf
    np.testing.assert_array_equal(plain.body_mass, dressed.body_mass)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qpos": np.zeros((3, 6))}, r"qpos must be \[T, 7\] for this model, not \[3, 6\]"),
        ({"qpos": np.zeros(7)}, r"qpos must be \[T, 7\]"),
        ({"qpos": np.zeros((0, 7))}, "the trajectory is empty"),
        ({"qpos": [["a"] * 7]}, "qpos must be an array of numbers"),
        ({"qpos": np.full((3, 7), np.nan)}, "qpos is not finite at state 0 of 3"),
        ({"timestep": 0.0}, "timestep must be positive, not 0.0"),
        ({"timestep": np.inf}, "timestep must be positive"),
        ({"fps": -1}, "fps must be positive, not -1"),
        ({"mjcf": "<mujoco><worldbody><geom/></worldbody></mujoco>"}, "cannot read the MJCF"),
        ({"mjcf": "no XML"}, "cannot read the MJCF"),
        ({"width": 0}, "width, height and zoom must be positive"),
        ({"zoom": 0.0}, "width, height and zoom must be positive"),
    ],
)
def test_bad_input_is_one_clear_line(change, message):
    asked = {"mjcf": RED, "qpos": rolling(), "timestep": 0.02, "fps": FPS, **change}
    with pytest.raises(UsageError, match=message) as caught:
        film.film(**asked)
    assert "\n" not in str(caught.value)


@needs_opengl
def test_the_camera_follows_or_stands():
    qpos = rolling(speed=0.8)
    view = {"timestep": 0.02, "fps": FPS, "width": 96, "height": 64, "azimuth": 90.0}
    followed = film.film(RED, qpos, **view)
    assert followed.shape == (FPS + 1, 64, 96, 3)
    assert followed.dtype == np.uint8

    def columns(frames):
        assert all(redness(frame).any() for frame in frames)
        return np.array([np.nonzero(redness(frame))[1].mean() for frame in frames])

    assert np.abs(columns(followed) - 48).max() < 2
    # From the left to the right, all of it within the picture.
    standing = columns(film.film(RED, qpos, **view, follow=False))
    assert (np.diff(standing) > 0).all()
    assert standing[-1] - standing[0] > 30


@needs_opengl
def test_zoom_is_closer_and_the_picture_upright():
    qpos = rolling(0.0)
    view = {"timestep": 0.02, "fps": FPS, "width": 96, "height": 96}
    near, far = (film.film(RED, qpos, **view, zoom=zoom)[0] for zoom in (1.0, 0.4))
    assert redness(near).sum() > 4 * redness(far).sum() > 0
    sky, floor = far[0].astype(int).mean(0), far[-1].astype(int).mean(0)
    assert sky[2] - sky[0] > 15 > floor[2] - floor[0]  # blue above, grey below


@needs_opengl
def test_a_bare_model_gets_floor_shadow_and_colour():
    (frame,) = film.film(quadruped_mjcf(), [mujoco_pose()], timestep=0.02, fps=FPS)
    floor = frame[-60:].reshape(-1, 3).astype(int)
    assert floor.sum(1).std() > 15  # two tones and a shadow
    blue = frame[..., 2].astype(int) - frame[..., 0]
    assert (blue > 70).sum() > 300  # the body


def mujoco_pose():
    return mujoco.MjModel.from_xml_string(quadruped_mjcf()).qpos0


def render_alone(before):
    """What a process of its own says that films one frame after the code `before`."""
    code = f"""{before}
from tests.report.test_film import RED, rolling, film
print(film.film(RED, rolling(0.0), timestep=0.02, fps=10, width=32, height=32).std() > 5)"""
    settings = ("DISPLAY", "MUJOCO_GL", "PYOPENGL_PLATFORM")
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    inherited["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@needs_opengl
def test_it_works_without_display_or_settings_after_mujoco_was_imported():
    done = render_alone("import mujoco")
    assert done.stdout.strip().endswith("True"), done.stderr


@pytest.mark.parametrize("wanted", ["egl", "osmesa"])
def test_mujoco_gl_is_respected(wanted):
    # Named after mujoco was imported, when mujoco itself would no longer look.
    done = render_alone(
        f"import atexit, mujoco, os, sys; os.environ['MUJOCO_GL'] = '{wanted}'\n"
        f"atexit.register(lambda: print('mujoco.{wanted}' in sys.modules))"
    )
    if "no OpenGL backend works" in done.stderr:
        pytest.skip(f"{wanted} does not work on this machine")
    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("off", "MUJOCO_GL=off switches rendering off"),
        ("nonsense", r"MUJOCO_GL=nonsense allows no other.*libegl1.*libosmesa6"),
    ],
)
def test_without_opengl_one_line_says_what_to_install(wanted, message, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", wanted)
    with pytest.raises(UsageError, match=message) as caught:
        film.film(RED, rolling(), timestep=0.02, fps=FPS)
    assert "\n" not in str(caught.value)


def coloured(count, height=6, width=10):
    """Frames [count, height, width, 3]; the red of frame i is i."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = np.arange(count)[:, None, None]
    return frames


@pytest.mark.parametrize(
    ("frames", "count", "shown"),
    [(9, 3, [0, 4, 8]), (2, 8, [0, 1]), (5, 1, [0]), (100, 8, [0, 14, 28, 42, 57, 71, 85, 99])],
)
def test_a_strip_shows_stills_evenly_spaced(frames, count, shown):
    strip = film.strip(coloured(frames), count)
    step = 10 + film.STRIP_GAP
    assert strip.shape == (6, step * len(shown) - film.STRIP_GAP, 3)
    for place, index in enumerate(shown):
        assert (strip[:, place * step : place * step + 10, 0] == index).all()


def test_the_ending_decides_the_format(tmp_path):
    frames = coloured(5)
    with Image.open(film.write_film(frames, tmp_path / "new" / "film.gif", 25)) as image:
        assert image.n_frames == 5
        assert image.info["duration"] == 40
    with Image.open(film.write_film(frames, tmp_path / "film.PNG", 25)) as image:
        np.testing.assert_array_equal(np.asarray(image), film.strip(frames))


def test_mp4_needs_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UsageError, match=r'pip install "jaxrl_suite\[video\]"'):
        film.write_film(coloured(3), tmp_path / "film.mp4", 25)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_mp4_is_a_film(tmp_path, size):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs the extra video")
    path = film.write_film(coloured(30, *size), tmp_path / "film.mp4", 25)
    reader = ffmpeg.read_frames(str(path))
    told = next(reader)
    assert told["fps"] == 25
    assert told["size"] == (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert len(list(reader)) == 30
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(
    ("frames", "name", "fps", "message"),
    [
        (coloured(2), "film.avi", 10, r"film.avi: its ending must be one of .gif, .mp4, .png"),
        (coloured(2), "film", 10, "its ending must be one of"),
        (coloured(2), "film.mp4", 0, "fps must be positive"),
        (coloured(2)[0], "film.gif", 10, r"frames must be \[T, height, width, 3\]"),
        (coloured(0), "film.gif", 10, r"not \[0, 6, 10, 3\]"),
        (coloured(2) / 2, "film.gif", 10, "frames must be uint8"),
    ],
)
def test_bad_films_are_refused(tmp_path, frames, name, fps, message):
    with pytest.raises(UsageError, match=message):
        film.write_film(frames, tmp_path / name, fps)
    assert not list(tmp_path.iterdir())


def test_a_strip_of_nothing_is_refused():
    with pytest.raises(UsageError, match="count must be at least 1"):
        film.strip(coloured(3), 0)
