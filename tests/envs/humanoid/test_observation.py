"""What is seen of the humanoid, against MuJoCo's C engine, and turned in any direction."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.clips import Clips, Pose
from jaxrl_suite.envs.humanoid import skeleton, tasks, tracking
from jaxrl_suite.envs.humanoid.observation import FRAME_SIZE, SENSE_SIZE, heading
from tests.envs.humanoid import states

pytestmark = pytest.mark.xdist_group("humanoid")
COUNT = 12


def seen_by_c(state):
    """Policy [223] and discriminator [125], worked out from C's bodies one by one."""
    of = states.into_c(state)
    m, d = of.model, of.data
    place, turn, velocity, spin = {}, {}, {}, {}
    for link in skeleton.LINKS:
        body = m.body(link).id
        place[link], turn[link] = d.xpos[body].copy(), d.xmat[body].reshape(3, 3).copy()
        both = np.zeros(6)
        mujoco.mj_objectVelocity(m, d, mujoco.mjtObj.mjOBJ_XBODY, body, both, 0)
        spin[link], velocity[link] = both[:3], both[3:]
    for arm in skeleton.LOWER_ARMS:
        hand, lever = arm.replace("lower_arm", "hand"), turn[arm] @ np.array(skeleton.HAND)
        place[hand], turn[hand], spin[hand] = place[arm] + lever, turn[arm], spin[arm]
        velocity[hand] = velocity[arm] + np.cross(spin[arm], lever)
    order = []
    for link in skeleton.LINKS:
        order.append(link)
        if link in skeleton.LOWER_ARMS:
            order.append(link.replace("lower_arm", "hand"))
    yaw = np.arctan2(turn["pelvis"][1, 0], turn["pelvis"][0, 0])
    c, s = np.cos(yaw), np.sin(yaw)
    to_heading = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    root, six = place["pelvis"], lambda r: [*r[:, 0], *r[:, 2]]
    local = lambda link: to_heading @ (place[link] - root)  # noqa: E731
    policy = [root[2:]]
    policy += [local(link) for link in order[1:]]
    policy += [six(to_heading @ turn[link]) for link in order]
    policy += [to_heading @ velocity[link] for link in order]
    policy += [to_heading @ spin[link] for link in order]
    judged = [root[2:], six(to_heading @ turn["pelvis"])]
    judged += [to_heading @ velocity["pelvis"], to_heading @ spin["pelvis"]]
    for joint in skeleton.JOINTS:
        parent = skeleton.part(joint.link).parent
        judged.append(six(turn[parent].T @ turn[joint.link]))
    for joint in skeleton.JOINTS:
        first = m.joint(joint.name).dofadr[0]
        judged.append(d.qvel[first : first + (3 if joint.is_ball else 1)])
    judged += [local(link) for link in ("right_hand", "left_hand", "right_foot", "left_foot")]
    return np.concatenate(policy), np.concatenate(judged)


def sensed(state):
    of = states.made()
    return np.asarray(of.sense(of.scene, state)), np.asarray(of.frame(of.scene, state))


def test_sizes_are_223_and_125():
    body, frame = sensed(states.states(COUNT))
    assert body.shape[1] == SENSE_SIZE == states.made().figure.sense_size == 223
    assert frame.shape[1] == FRAME_SIZE == states.made().figure.frame_size == 125


def test_what_is_seen_is_what_c_knows_of_its_bodies():
    state = states.states(COUNT)
    found = sensed(state)
    for i in range(COUNT):
        expected = seen_by_c(states.row(state, i))
        for ours, theirs in zip(found, expected, strict=True):
            # Velocities reach 20, of which 1e-5 is half of what float32 holds.
            np.testing.assert_allclose(ours[i], theirs, rtol=1e-5, atol=1e-5)


def test_the_discriminator_is_shown_the_spin_of_the_world_not_of_the_body():
    """Tilted by 60 degrees to its side, it spins about the vertical."""
    of = states.made()
    state = states.row(states.states(1, speed=0.0), 0)
    half = np.radians(60) / 2
    tilt = jnp.array([np.cos(half), np.sin(half), 0, 0])
    # Of the vertical (0, 0, 3) the body sees 3 sin 60 along its y, 3 cos 60 along its z.
    own = jnp.array([0.0, 3 * np.sin(np.radians(60)), 1.5])
    state = state._replace(q=state.q.at[3:7].set(tilt), v=state.v.at[3:6].set(own))
    frame = np.asarray(of.frame(of.scene, jax.tree.map(lambda x: x[None], state))[0])
    np.testing.assert_allclose(frame[10:13], [0, 0, 3], atol=1e-5)


@pytest.mark.parametrize("yaw", [0.3, -1.7, np.pi, 2.9])
def test_where_it_faces_makes_no_difference(yaw):
    state = states.states(COUNT)
    there = states.turned(state, yaw, shift=(3.0, -2.0))
    for here, other in zip(sensed(state), sensed(there), strict=True):
        np.testing.assert_allclose(here, other, rtol=1e-5, atol=1e-5)


def test_the_heading_is_where_the_root_faces_and_takes_away_yaw_alone():
    for yaw in (0.0, 1.0, -2.5):
        turn = np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
        ahead = np.array([np.cos(yaw), np.sin(yaw), 0.7])
        np.testing.assert_allclose(heading(jnp.asarray(turn)) @ ahead, [1, 0, 0.7], atol=1e-6)


def spun(vector, yaw):
    c, s = np.cos(yaw), np.sin(yaw)
    return jnp.concatenate([jnp.array([[c, -s], [s, c]]) @ vector[:2], vector[2:]])


GOALS = {
    "steering": lambda yaw: tasks.Course(
        jnp.asarray(0.4 + yaw), jnp.asarray(-1.0 + yaw), jnp.asarray(1.5), jnp.asarray(9)
    ),
    "speed": lambda yaw: tasks.Course(
        jnp.asarray(yaw), jnp.asarray(yaw), jnp.asarray(1.5), jnp.asarray(9)
    ),
    "location": lambda yaw: tasks.Place(spun(jnp.array([2.0, -4.0]), yaw), jnp.asarray(9)),
    "reach": lambda yaw: tasks.Place(spun(jnp.array([0.4, -0.7, 1.1]), yaw), jnp.asarray(9)),
}


@pytest.mark.parametrize("name", GOALS)
def test_tasks_are_shown_from_where_it_faces(name):
    task, of = humanoid.make_task(name), states.made()
    state = states.states(COUNT)
    look = jax.vmap(task.observe, in_axes=(None, None, 0))
    here = look(of.scene, GOALS[name](0.0), state)
    assert here.shape == (COUNT, task.size)
    for yaw in (0.9, -2.2):
        there = look(of.scene, GOALS[name](yaw), states.turned(state, yaw))
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=2e-5)


def test_the_box_to_strike_is_shown_from_where_it_faces():
    task, of = humanoid.make_task("strike"), states.made()
    state = states.states(COUNT)
    generator = np.random.default_rng(1)
    box = np.concatenate([generator.normal(size=3), states.unit(generator)])
    moves = generator.normal(size=6)

    def with_box(state, yaw):
        turn = np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
        matrix = np.asarray(heading(jnp.asarray(turn * [1, 1, 1, -1])))
        quaternion = np.zeros(4)
        mujoco.mju_mulQuat(quaternion, turn, box[3:])
        q = np.concatenate([matrix @ box[:3], quaternion])
        v = np.concatenate([matrix @ moves[:3], moves[3:]])  # spins are in the box's own frame
        tile = lambda x: jnp.asarray(np.tile(x, (COUNT, 1, 1)), jnp.float32)  # noqa: E731
        return state._replace(box_q=tile(q), box_v=tile(v))

    look = jax.vmap(lambda s: task.observe(of.scene, (), s))
    here = look(with_box(state, 0.0))
    assert here.shape == (COUNT, 15)
    # Its height is that above the ground.
    np.testing.assert_allclose(here[:, 2], box[2], rtol=1e-5)
    there = look(with_box(states.turned(state, 1.3), 1.3))
    np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-5)


def test_a_clip_to_follow_is_shown_from_where_it_faces():
    of, pose = states.made(), states.poses(6, seed=3)

    def clips(yaw):
        state = states.turned(states.made().pose(of.scene, pose), yaw)
        frames = Pose(*map(np.asarray, jax.vmap(humanoid.pose_of)(state)))
        one = np.ones(1, np.float32)
        number = lambda x: np.array([x], np.int32)  # noqa: E731
        return Clips(frames, number(0), number(6), 30 * one, one, np.zeros(1, bool))

    goal = tracking.Follow(jnp.asarray(0), jnp.asarray(0.02))
    state = states.states(COUNT)

    def look(yaw):
        task = humanoid.follow(clips(yaw))
        seen = jax.jit(jax.vmap(lambda s: task.observe(of.scene, goal, s)))
        return task.size, seen(states.turned(state, yaw))

    size, here = look(0.0)
    assert here.shape == (COUNT, size)
    np.testing.assert_allclose(here, look(1.1)[1], rtol=1e-5, atol=2e-5)
