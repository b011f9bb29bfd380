import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser

import mujoco
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import bodies, viewer
from jaxrl_suite.report.viewer import Recording
from tests.physics.reference import quadruped_mjcf
from tests.report import browsers

EVIL = "</script><script>document.title = 'x'</script><!-- & \"quoted\" <b>"

ALL_SHAPES = """<mujoco><asset><hfield name="hills" nrow="3" ncol="4" size="2 1 .5 .1"
 elevation="0 0 0 0  0 1 .5 0  0 0 0 0"/></asset><worldbody>
<geom type="plane" size="0 0 1" pos="0 0 -1"/><geom type="hfield" hfield="hills"/>
<geom type="box" size=".1 .2 .3" pos="1 2 3" euler="0 0 90" rgba=".2 .4 .6 .5"/>
<body pos="0 0 1"><freejoint/><geom type="capsule" size=".1 .2" pos=".1 0 0"/>
<geom type="ellipsoid" size=".1 .2 .3"/><geom size=".5" group="3"/>
<geom size=".5" rgba="0 0 0 0"/>
<body pos=".5 0 0"><geom type="cylinder" size=".1 .2"/>
<body pos=".5 0 0"><joint axis="0 1 0"/><geom size=".1"/></body></body></body>
</worldbody></mujoco>"""


def walk(seconds=2.0, seed=0):
    """A quadruped under random controls: MJCF, qpos [T, nq] and the timestep in s."""
    mjcf = quadruped_mjcf()
    model = mujoco.MjModel.from_xml_string(mjcf)
    data, generator = mujoco.MjData(model), np.random.default_rng(seed)
    qpos = []
    for i in range(round(seconds / model.opt.timestep)):
        if i % 50 == 0:
            data.ctrl = np.tile([0, 0.9, -1.6], 4) + generator.normal(0, 0.3, 12)
        mujoco.mj_step(model, data)
        qpos.append(data.qpos.copy())
    return mjcf, np.array(qpos), model.opt.timestep


def shapes(seconds=1.0):
    """A recording of every shape; its body rises and turns."""
    model = mujoco.MjModel.from_xml_string(ALL_SHAPES)
    qpos = np.tile(model.qpos0, (round(seconds / 0.02) + 1, 1))
    qpos[:, 2] += np.linspace(0, 1, len(qpos))
    qpos[:, 3:7] = np.random.default_rng(0).normal(size=(len(qpos), 4))
    return Recording(EVIL, f"caption {EVIL}", ALL_SHAPES, qpos, 0.02)


class Page(HTMLParser):
    """Tags with their attributes, the scripts and the data of a page."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text()
        self.tags, self.scripts, self._inside = [], [], False
        self.feed(self.text)
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.scripts[-1] += data


def decoded(text, kind, *shape):
    return np.frombuffer(base64.b64decode(text), kind).reshape(shape)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    recordings = [Recording("Quadruped", "Random controls.", *walk()), shapes()]
    return viewer.write_viewer(
        tmp_path_factory.mktemp("page") / "viewer.html", f"Bodies {EVIL}", recordings
    )


def test_nothing_is_fetched_and_only_our_scripts_run(page):
    parsed = Page(page)
    for tag, attributes in parsed.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img")
        assert not {"src", "srcset", "href", "action"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"@import|url\(", parsed.text)
    (policy,) = (a["content"] for _, a in parsed.tags if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    hashes = {
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for script in parsed.scripts[1:]
    }
    assert hashes == allowed
    assert len(allowed) == len(viewer.SCRIPTS) == parsed.text.count("<script>")


def test_titles_and_captions_are_only_text(page):
    parsed = Page(page)
    assert EVIL not in parsed.text
    assert "<b>" not in parsed.text.split('id="recordings">')[1].split("</script>")[0]
    assert parsed.data[1]["title"] == EVIL
    assert parsed.data[1]["caption"] == f"caption {EVIL}"


def test_poses_are_those_of_mujoco(page):
    mjcf, qpos, timestep = walk()
    told = Page(page).data[0]
    model = mujoco.MjModel.from_xml_string(mjcf)
    data = mujoco.MjData(model)
    frames, moving = told["frames"], model.nbody - 1
    assert told["bodies"] == moving
    assert frames == 1 + int((len(qpos) - 1) * timestep * viewer.FPS)
    positions = decoded(told["positions"], "<f4", frames, moving, 3)
    rotations = decoded(told["rotations"], "<i2", frames, moving, 4) / 32767
    for k in (0, 17, frames - 1):
        data.qpos = qpos[round(k / viewer.FPS / timestep)]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(positions[k], data.xpos[1:], atol=1e-6)
        np.testing.assert_allclose(rotations[k][:, [3, 0, 1, 2]], data.xquat[1:], atol=2e-5)
    centres = decoded(told["centres"], "<f4", frames, 3)
    assert np.linalg.norm(centres - positions[:, 0], axis=1).max() < told["radius"]


def test_geoms_are_told_with_shape_place_and_colour():
    told = viewer._packed(shapes())
    assert [geom["shape"] for geom in told["geoms"]] == [
        "plane", "hfield", "box", "capsule", "ellipsoid", "cylinder", "sphere",
    ]  # neither the hidden group nor the transparent sphere  # fmt: skip
    plane, hills, box, capsule, _, cylinder, sphere = told["geoms"]
    assert plane["rgba"] is hills["rgba"] is None  # the page's own
    assert [geom["body"] for geom in told["geoms"]] == [-1, -1, -1, 0, 0, 1, 2]
    heights = decoded(hills["heights"], "<u2", hills["rows"], hills["columns"])
    np.testing.assert_allclose(heights[1] / 65535, [0, 1, 0.5, 0], atol=1e-4)
    assert hills["size"] == [2, 1, 0.5, 0.1]
    assert (box["position"], box["rgba"]) == ([1, 2, 3], [0.2, 0.4, 0.6, 0.5])
    np.testing.assert_allclose(box["rotation"], [0, 0, 0.5**0.5, 0.5**0.5], atol=1e-6)
    assert capsule["position"] == [0.1, 0, 0]
    assert capsule["size"][:2] == [0.1, 0.2]
    assert cylinder["rgba"] != sphere["rgba"]


@pytest.mark.parametrize("text", ["vendor/three.min.js", "viewer.js", "viewer_bodies.js"])
def test_no_script_ends_its_element(text):
    script = viewer._script(text)
    assert "</script" not in script.lower()
    assert "<!--" not in script


def test_three_ships_small_and_with_its_licence():
    folder = viewer._HERE / "vendor"
    assert (folder / "three.min.js").stat().st_size < 600_000
    assert "three.js authors" in (folder / "LICENSE.three").read_text()
    version = re.search(r"three.js ([\d.]+)", (folder / "three.min.js").read_text()[:200])[1]
    assert f"three@{version}" in (folder / "README.md").read_text()


MESH = """<mujoco><asset><mesh name="m" vertex="0 0 0 1 0 0 0 1 0 0 0 1"/></asset><worldbody>
<body><freejoint/><geom type="mesh" mesh="m"/></body></worldbody></mujoco>"""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"qpos": np.zeros((3, 5))}, r"recording 'walk': qpos must be \[T, 19\]"),
        ({"qpos": np.zeros((0, 19))}, "recording 'walk': the trajectory is empty"),
        ({"qpos": np.full((2, 19), np.inf)}, "qpos is not finite at state 0 of 2"),
        ({"timestep": -0.1}, "timestep must be positive"),
        ({"mjcf": "<mujoco>"}, "recording 'walk': cannot read the MJCF"),
        ({"mjcf": MESH, "qpos": np.eye(7)[[3]]}, "the viewer shows plane.*geom 0 is a mesh"),
    ],
)
def test_bad_recordings_are_one_clear_line_and_no_file(tmp_path, change, message):
    recording = Recording("walk", "", *walk(0.1))._replace(**change)
    with pytest.raises(UsageError, match=message) as caught:
        viewer.write_viewer(tmp_path / "viewer.html", "title", [recording])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "recordings", "message"),
    [("viewer.html", [], "at least one recording"), ("viewer.txt", [1], "ending must be .html")],
)
def test_bad_pages_are_refused(tmp_path, name, recordings, message):
    with pytest.raises(UsageError, match=message):
        viewer.write_viewer(tmp_path / name, "title", recordings)


needs_browser = pytest.mark.skipif(
    not browsers.CHROME, reason="no chromium or google-chrome on PATH"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = browsers.Browser(tmp_path_factory.mktemp("browser"))
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=560, height=440, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    yield browser
    browser.close()


def settled(browser):
    """The camera's place once the view has come to rest."""
    before, now = None, browser.js("viewer.camera")
    while before != now:
        browser.drawn()
        before, now = now, browser.js("viewer.camera")
    return np.array(now)


@needs_browser
def test_the_page_draws_a_body_on_a_ground(browser, page):
    browser.open(page, "#pause&frame=30")
    picture = browser.picture()
    sky, floor = picture[2, 2:-2], picture[-20:].reshape(-1, 3)
    assert np.ptp(sky, axis=0).max() <= 2
    assert floor.sum(1).std() > 15  # a checker and shadows
    blue = picture[..., 2] - picture[..., 0]
    assert 0.005 < (blue > 50).mean() < 0.5  # the body, and not everything
    assert browser.js("message.hidden && !controls.hidden")
    assert [url.split("#")[0] for url in browser.requests()] == [f"file://{page}"]
    assert browser.complaints() == []


@needs_browser
def test_playing_advances_and_pausing_stops(browser, page):
    browser.open(page)
    assert browser.js("viewer.playing")
    first = browser.js("viewer.frame")
    browser.wait(f"viewer.frame !== {first}")
    browser.press(" ")
    stopped = browser.js("[viewer.playing, viewer.frame, viewer.time]")
    still = browser.picture()
    time.sleep(0.3)
    assert browser.js("[viewer.playing, viewer.frame, viewer.time]") == [False, *stopped[1:]]
    np.testing.assert_array_equal(browser.picture(), still)
    browser.js("play.click()")
    browser.wait(f"viewer.playing && viewer.frame !== {stopped[1]}")
    assert (browser.picture() != still).any()
    assert browser.js("clock.textContent").endswith(" / 1.97 s")


@needs_browser
def test_a_film_begins_again_after_its_end(browser, page):
    browser.open(page, "#speed=2")
    assert browser.js("viewer.speed") == 2
    browser.js("viewer.seek(1.9)")
    browser.wait("viewer.frame < 40")
    assert browser.js("viewer.playing")


@needs_browser
def test_time_is_steered_by_slider_keys_and_address(browser, page):
    browser.open(page, "#frame=10&pause")
    assert browser.js("[viewer.frame, viewer.playing]") == [10, False]
    browser.press("ArrowRight")
    assert browser.js("viewer.frame") == 11
    browser.press("ArrowLeft")
    browser.press("ArrowLeft")
    assert browser.js("viewer.frame") == 9
    browser.js("slider.value = 25, slider.dispatchEvent(new Event('input'))")
    assert browser.js("viewer.frame") == 25
    browser.js("viewer.seek(1e9)")
    assert browser.js("viewer.frame === viewer.frames - 1")
    browser.js("speed.value = '0.25', speed.dispatchEvent(new Event('change'))")
    assert browser.js("viewer.speed") == 0.25
    browser.js("location.hash = '#frame=3'")
    browser.wait("viewer.frame === 3")


@needs_browser
def test_every_recording_can_be_chosen(browser, page):
    browser.open(page, "#frame=10&pause")
    before = browser.picture()
    assert browser.js("gallery.children.length") == 2
    browser.js("gallery.children[1].click()")
    assert browser.js("[viewer.recording, viewer.frame, viewer.playing]") == [1, 0, False]
    assert (np.abs(browser.picture() - before).max(-1) > 40).mean() > 0.05
    assert browser.js("gallery.children[1].querySelector('b').textContent") == EVIL
    assert browser.js("[title.textContent, caption.textContent]") == [EVIL, f"caption {EVIL}"]
    assert browser.js("document.title") == f"Bodies {EVIL}".strip()
    assert browser.js("location.hash") == "#recording=1"
    browser.js("viewer.select(0)")
    browser.js("viewer.seek(10 / 30)")
    # Nothing of the other one is left.
    assert np.abs(browser.picture() - before).mean() < 0.1
    browser.open(page, "#recording=1&pause")
    assert browser.js("viewer.recording") == 1
    browser.open(page, "#recording=7&pause")
    assert browser.js("viewer.recording") == 0
    assert browser.complaints() == []


@needs_browser
def test_the_camera_turns_zooms_follows_and_comes_back(browser, page):
    browser.open(page, "#pause")
    first = settled(browser)
    target = np.array(browser.js("viewer.target"))
    browser.mouse("mousePressed", 250, 200, button="left", clickCount=1)
    browser.mouse("mouseMoved", 350, 210, button="left", buttons=1)
    browser.mouse("mouseReleased", 350, 210, button="left", clickCount=1)
    turned = settled(browser)
    assert np.linalg.norm(turned - first) > 0.1
    np.testing.assert_allclose(
        np.linalg.norm(turned - target), np.linalg.norm(first - target), rtol=1e-6
    )
    browser.mouse("mouseWheel", 250, 200, deltaX=0, deltaY=-300)
    near = settled(browser)
    assert np.linalg.norm(near - target) < 0.95 * np.linalg.norm(turned - target)
    browser.press("ArrowLeft", modifiers=8)
    assert np.linalg.norm(settled(browser) - near) > 0.05
    assert browser.js("viewer.frame") == 0
    browser.press("-")
    assert np.linalg.norm(settled(browser) - target) > np.linalg.norm(near - target)
    browser.press("r")
    np.testing.assert_allclose(settled(browser), first, atol=1e-6)

    # Along with the body, or not.
    browser.js("viewer.seek(1)")
    browser.picture()
    moved = settled(browser) - first
    assert np.linalg.norm(moved) > 0.02
    np.testing.assert_allclose(browser.js("viewer.target") - target, moved, atol=1e-5)
    browser.press("f")
    assert browser.js("[viewer.follow, follow.getAttribute('aria-pressed')]") == [False, "false"]
    browser.js("viewer.seek(0)")
    browser.picture()
    np.testing.assert_allclose(settled(browser), first + moved, atol=1e-6)


@needs_browser
def test_dark_pages_have_a_dark_scene(browser, page):
    browser.open(page, "#pause")
    light = browser.picture()
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    dark = browser.picture()
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert light[:20].mean() > 180
    assert dark[:20].mean() < 60


@needs_browser
def test_without_webgl_the_page_says_so(tmp_path, page):
    browser = browsers.Browser(tmp_path, "--disable-3d-apis")
    try:
        browser.open(page)
        assert "lacks or has switched off" in browser.js("message.textContent")
        assert browser.js("!message.hidden && controls.hidden")
    finally:
        browser.close()


def test_one_recording_needs_no_list(tmp_path):
    path = viewer.write_viewer(tmp_path / "one.html", "One", [shapes()])
    assert len(Page(path).data) == 1
    assert bodies.FLOOR not in path.read_text()
