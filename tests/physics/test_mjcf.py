"""Everything outside the supported subset is refused by name."""

import jax
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import humanoid
from jaxrl_suite.physics import Sizes, from_mjcf, stack, to_mjcf
from tests.physics import reference

FILE = """<mujoco>{option}<worldbody>{world}
<body name="root" pos="0 0 1">{root}<geom type="sphere" size=".1" {geom}/>
<body name="limb" pos=".2 0 0">{joint}<geom type="capsule" size=".05" fromto="0 0 0 .2 0 0"/></body>
</body>{second}</worldbody>{rest}</mujoco>"""
DEFAULT = {
    "option": "",
    "world": '<geom name="floor" type="plane" size="0 0 1"/>',
    "root": "<freejoint/>",
    "geom": "",
    "joint": '<joint name="hip" axis="0 1 0"/>',
    "second": "",
    "rest": "",
}


def load(**changes):
    return from_mjcf(FILE.format(**DEFAULT | changes))


def test_the_plain_file_loads():
    body = load(rest='<actuator><motor joint="hip" gear="5"/></actuator>')
    assert body.link_names == ("root", "limb")
    assert body.actuators == ((1, 0),)
    assert body.sizes.num_bodies == 2
    assert body.ground_friction == 1.0


BALL_SERVOS = """<actuator>
<position joint="hip" kp="5" gear="1 0 0 0 0 0" forcelimited="true" forcerange="-3 2"/>
<motor joint="hip" gear="0 -3 0 0 0 0"/>
<position joint="hip" kp="7" gear="0 0 1 0 0 0" ctrllimited="true" ctrlrange="-1 1.5"/>
</actuator>"""
BALL = '<joint name="hip" type="ball" damping=".4" armature=".01" limited="true" range="0 100"/>'


def test_servos_of_a_ball_pull_about_an_axis_each():
    body = load(joint=BALL, rest=BALL_SERVOS)
    assert body.actuators == ((1, 0), (1, 1), (1, 2))
    np.testing.assert_allclose(body.model.gear[6:9], [5, -3, 7])
    np.testing.assert_allclose(body.model.kp[6:9], [5, 0, 7])
    np.testing.assert_allclose(body.model.force_range[6], [-3, 2])
    assert not np.isfinite(body.model.force_range[7:9]).any()
    np.testing.assert_allclose(body.model.control_range[8], [-1, 1.5])


MOTOR = "<actuator>{}</actuator>"
REFUSED = [
    ({"option": '<option integrator="RK4"/>'}, "option: integrator"),
    ({"option": '<option cone="elliptic"/>'}, "option: cone"),
    ({"option": '<option impratio="10"/>'}, "option: impratio 10"),
    ({"option": '<option density="1.2"/>'}, "option: density"),
    ({"option": '<option gravity="1 0 -9"/>'}, "option: gravity"),
    ({"root": '<joint type="hinge"/>'}, "root: a root without a free joint"),
    ({"joint": '<joint name="hip" type="slide"/>'}, "hip: type slide"),
    ({"joint": '<joint name="hip" frictionloss="1"/>'}, "hip: frictionloss"),
    ({"joint": '<joint name="hip" ref="10"/>'}, "hip: ref"),
    ({"joint": '<joint name="hip" margin="1" limited="true" range="0 9"/>'}, "hip: margin"),
    ({"joint": '<joint name="b"/><joint name="a" type="ball"/>'}, "a ball beside other joints"),
    ({"joint": "".join(f'<joint name="j{i}"/>' for i in range(4))}, "j3: a fourth joint"),
    ({"geom": 'name="ball" condim="4"'}, "ball: condim 4"),
    ({"geom": 'name="ball" margin=".1"'}, "ball: margin"),
    ({"geom": 'name="ball" priority="1"'}, "ball: priority"),
    ({"geom": 'name="ball" contype="2" conaffinity="2"'}, "ball: contype"),
    ({"geom": 'name="ball" solref=".1 1"'}, "another solref"),
    ({"second": '<body name="other"><freejoint/><geom size=".1"/></body>'}, "other: a second tree"),
    (
        {"world": '<geom type="plane" size="0 0 1"/><geom name="ball" type="sphere" size="1"/>'},
        "ball: a colliding geom of the world",
    ),
    ({"world": '<geom name="a" type="box" size="1 1 1" condim="1"/>'}, "a: condim 1"),
    ({"world": '<geom name="a" type="box" size="1 1 1" contype="2" conaffinity="2"/>'}, "a: a box"),
    (
        {
            "world": '<geom name="a" type="box" size="1 1 1"/>',
            "second": '<body name="b"><freejoint/><geom name="c" type="box" size="1 1 1"/></body>',
        },
        "c: a box that may touch a",
    ),
    (
        {"world": '<body name="b"><freejoint/><geom type="box" size="1 1 1"/></body>'},
        "b: a free box before the body",
    ),
    (
        {"second": '<body name="b"><freejoint/><geom type="box" size="1 1 1" pos="1 0 0"/></body>'},
        "b: a box off its body",
    ),
    (
        {"rest": '<sensor><framepos name="s" objtype="body" objname="limb"/></sensor>'},
        "sensor s: framepos",
    ),
    (
        {"world": '<geom type="plane" size="0 0 1"/><geom name="two" type="plane" size="0 0 1"/>'},
        "two",
    ),
    (
        {"rest": MOTOR.format('<velocity joint="hip" kv="1"/><motor joint="hip"/>')},
        "second actuator",
    ),
    ({"rest": MOTOR.format('<general name="m" joint="hip" dyntype="filter"/>')}, "m: its dynamics"),
    (
        {
            "joint": '<joint name="hip" type="ball"/>',
            "rest": MOTOR.format('<position name="m" joint="hip" kp="5" gear="1 1 0 0 0 0"/>'),
        },
        r"m: gear \[1. 1. 0.\]",
    ),
    (
        {
            "joint": '<joint name="hip" type="ball"/>',
            "rest": MOTOR.format(
                '<position joint="hip" kp="5" gear="0 1 0 0 0 0"/>'
                '<position name="m" joint="hip" kp="7" gear="0 1 0 0 0 0"/>'
            ),
        },
        "m: a second actuator",
    ),
    (
        {
            "joint": '<joint name="hip" type="ball"/>',
            "rest": MOTOR.format(
                '<general name="m" joint="hip" gear="1 0 0 0 0 0" gainprm="5" biastype="affine" '
                'biasprm="0 -4 0"/>'
            ),
        },
        "m: a bias on a ball other than its gain",
    ),
    (
        {
            "joint": '<joint name="hip" type="ball"/>',
            "rest": MOTOR.format('<position name="m" joint="hip" kp="5" gear="0 2 0 0 0 0"/>'),
        },
        "m: gear 2 of a position actuator on a ball",
    ),
    ({"rest": '<equality><weld body1="root" body2="limb"/></equality>'}, "equality"),
    ({"joint": '<joint name="hip" limited="true" range="30 -30"/>'}, "range"),
]


@pytest.mark.parametrize(("changes", "named"), REFUSED, ids=[named for _, named in REFUSED])
def test_what_is_not_supported_is_named(changes, named):
    with pytest.raises(UsageError, match=named):
        load(**changes)


def test_no_file_and_no_mjcf():
    with pytest.raises(UsageError, match=r"there is no file nowhere\.xml"):
        from_mjcf("nowhere.xml")
    with pytest.raises(UsageError, match="not a model that MuJoCo compiles"):
        from_mjcf("<mujoco><nonsense/></mujoco>")


def test_a_moving_body_needs_mass():
    text = FILE.format(**DEFAULT).replace('fromto="0 0 0 .2 0 0"', 'fromto="0 0 0 .2 0 0" mass="0"')
    with pytest.raises(UsageError, match="mass"):
        from_mjcf(text)


def test_sizes_of_the_robots():
    quadruped = from_mjcf(reference.quadruped_mjcf())
    assert (quadruped.sizes.num_bodies, quadruped.sizes.hinges) == (17, 1)
    assert len(quadruped.actuators) == 12
    humanoid = from_mjcf(reference.humanoid_mjcf())
    assert humanoid.sizes.balls
    assert humanoid.model.dof_mask.sum() == 6 + 28


TEXTS = {
    "quadruped": reference.quadruped_mjcf(),
    "humanoid": reference.humanoid_mjcf(),
    "hurdles": reference.hurdles_mjcf(),
    "pushed box": reference.pushed_box_mjcf(),
    "hills": reference.hills_mjcf(),
    "servos of a ball": FILE.format(**DEFAULT | {"joint": BALL, "rest": BALL_SERVOS}),
    "character": humanoid.mjcf(),
} | {entry["name"]: reference.unimal_mjcf(entry) for entry in reference.unimals()}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_written_loads_as_the_same_body(name):
    body = from_mjcf(TEXTS[name])
    # Through padding, too: what does not exist is not written.
    own = body.sizes
    segments = max(2, own.segments)
    wide = Sizes(own.num_bodies + 2, 3, segments, balls=own.balls, obstacles=3, boxes=2)
    scenes, _ = stack([body], wide)
    scene = jax.tree.map(lambda x: x[0], scenes)
    again = from_mjcf(to_mjcf(wide, body.options, scene, names=body.link_names))
    for field in ("link_names", "actuators", "options", "sizes"):
        assert getattr(again, field) == getattr(body, field)
    assert again.ground_friction == pytest.approx(body.ground_friction, rel=1e-6)
    parts = [
        (again.model, body.model),
        (again.obstacles, body.obstacles),
        (again.boxes, body.boxes),
    ]
    parts.append((again.ground, body.ground))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6),
        *zip(*parts, strict=True),
    )
