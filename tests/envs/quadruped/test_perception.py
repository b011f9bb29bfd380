"""What the robot sees equals MuJoCo's rays, and no more enters than should."""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite import physics
from jaxrl_suite.envs.quadruped import perception
from jaxrl_suite.envs.quadruped.perception import Blocks

BOXES, STATES = 12, 8


def blocks(generator):
    half = generator.uniform(0.02, 0.6, (BOXES, 3))
    centre = generator.uniform([-2, -2, -0.1], [2, 2, 0.6], (BOXES, 3))
    return Blocks(centre, half, generator.uniform(size=BOXES) < 0.8)


def state(q):
    """Of a robot whose base is at q [7]."""
    zeros = lambda *shape: jnp.zeros(shape)  # noqa: E731
    q = jnp.concatenate([jnp.asarray(q), zeros(12)])
    return physics.State(q, zeros(18), zeros(18), zeros(0, 4), zeros(0, 7), zeros(0, 6))


def turned(yaw, pitch=0.0, roll=0.0):
    """wxyz of turns about z, then y, then x, each of the body's own axes."""
    q = np.zeros(4)
    matrix = np.zeros(9)
    mujoco.mju_euler2Quat(q, np.array([yaw, pitch, roll]), "zyx")
    mujoco.mju_quat2Mat(matrix, q)
    return q, matrix.reshape(3, 3)


def all_of(blocks, q):
    at = state(q)
    return (
        perception.height_map(blocks, at),
        perception.front_depth(blocks, at),
        perception.rays(blocks, at),
    )


@functools.cache
def program(x64):
    return jax.jit(all_of)


class World:
    """The same boxes in MuJoCo, on level ground."""

    def __init__(self, blocks):
        geoms = "".join(
            f'<geom type="box" pos="{c[0]} {c[1]} {c[2]}" size="{h[0]} {h[1]} {h[2]}"/>'
            for c, h, there in zip(*blocks, strict=True)
            if there
        )
        self.model = mujoco.MjModel.from_xml_string(
            f'<mujoco><worldbody><geom type="plane" size="0 0 1"/>{geoms}</worldbody></mujoco>'
        )
        self.data = mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, self.data)

    def ray(self, start, along, cap):
        hit = mujoco.mj_ray(
            self.model, self.data, np.asarray(start, float), np.asarray(along, float), None, 1, -1,
            np.zeros(1, np.int32),
        )  # fmt: skip
        return min(hit, cap) if hit >= 0 else cap

    def heights(self, p, turn):
        x, y = np.linspace(-1.2, 1.2, 25), np.linspace(-0.6, 0.6, 13)
        points = (p + turn @ np.array([a, b, 0.0]) for a in x for b in y)
        down = [self.ray([x, y, 50.0], [0, 0, -1], 60.0) for x, y, _ in points]
        return 50.0 - np.array(down).reshape(25, 13)

    def depth(self, p, turn):
        y, z = np.linspace(-0.25, 0.25, 25), np.linspace(-0.3, 0.1, 13)
        return np.array(
            [[self.ray(p + turn @ np.array([0.0, a, b]), turn[:, 0], 3.0) for b in z] for a in y]
        )

    def rays(self, p, turn):
        yaw = np.arctan2(turn[1, 0], turn[0, 0])
        angles = yaw + 2 * np.pi * np.arange(128) / 128
        return np.array([self.ray(p, [np.cos(a), np.sin(a), 0.0], 20.0) for a in angles])


def scenes():
    """Random boxes, and a base anywhere between them, with some part of it in the ground too."""
    for seed in range(STATES):
        generator = np.random.default_rng(seed)
        q, turn = turned(generator.uniform(-3, 3), *generator.uniform(-0.7, 0.7, 2))
        place = generator.uniform([-1, -1, 0.1], [1, 1, 0.6])
        yield blocks(generator), place, q, turn


def test_maps_and_rays_equal_those_of_mujoco():
    met = 0
    with jax.enable_x64(True):
        for boxes, place, q, turn in scenes():
            seen = program(True)(jax.tree.map(jnp.asarray, boxes), np.concatenate([place, q]))
            world = World(boxes)
            wanted = world.heights(place, turn), world.depth(place, turn), world.rays(place, turn)
            for one, other in zip(seen, wanted, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-5)
            met += (wanted[0] > 0).sum() + (wanted[1] < 3).sum() + (wanted[2] < 20).sum()
    # Of 778 rays each: enough of them meet something.
    assert met > STATES * 200


def test_in_single_precision_all_but_the_edges_are_the_same():
    off, count = 0, 0
    for boxes, place, q, _ in scenes():
        at = np.concatenate([place, q])
        single = program(False)(boxes, at)
        with jax.enable_x64(True):
            double = program(True)(jax.tree.map(jnp.asarray, boxes), at)
        for one, other in zip(single, double, strict=True):
            off += (np.abs(np.asarray(one) - np.asarray(other)) > 1e-4).sum()
            count += one.size
    assert off <= 1e-3 * count


def none(**given):
    empty = Blocks(jnp.zeros((2, 3)), jnp.ones((2, 3)), jnp.zeros(2, bool))
    return empty._replace(**given)


def level(x=0.0, y=0.0, z=0.3, yaw=0.0, pitch=0.0):
    return jnp.asarray([x, y, z, *turned(yaw, pitch)[0]], jnp.float32)


def test_boxes_that_do_not_exist_are_not_seen():
    height, depth, rays = program(False)(none(), level())
    assert (height == 0).all()
    assert (depth == 3).all()  # level rays never meet the ground
    assert (rays == 20).all()


def test_ground_and_a_wall_ahead_by_hand():
    # Looking down by 30 degrees from z: z / sin 30.
    _, depth, _ = program(False)(none(), level(z=0.5, pitch=np.pi / 6))
    z = np.linspace(-0.3, 0.1, 13)[None] * np.cos(np.pi / 6) + 0.5
    np.testing.assert_allclose(depth, np.broadcast_to(z / 0.5, (25, 13)), rtol=1e-5)
    # A wall 2 m ahead, as high as 0.4 m: of the rays those below its top are stopped by it.
    wall = none(
        centre=jnp.array([[2.5, 0, 0.2], [0, 0, 0]]),
        half=jnp.array([[0.5, 9.0, 0.2], [1, 1, 1]]),
        exists=jnp.array([True, False]),
    )
    height, depth, rays = program(False)(wall, level(x=1.0, z=0.33))
    np.testing.assert_allclose(depth[:, :10], 1.0, rtol=1e-5)  # to z = 0.33
    assert (depth[:, 12] == 3).all()  # at z = 0.43
    np.testing.assert_allclose(height[:22], 0.0)  # to x = 1.9
    np.testing.assert_allclose(height[23:], 0.4, rtol=1e-6)  # from x = 2.1
    np.testing.assert_allclose(rays[0], 1.0, rtol=1e-5)
    np.testing.assert_allclose(rays[8], 1.0 / np.cos(np.pi / 8), rtol=1e-5)
    assert rays[64] == 20


def test_rays_and_target_turn_with_the_base():
    boxes = blocks(np.random.default_rng(3))
    ahead = program(False)(boxes, level())[2]
    left = program(False)(boxes, level(yaw=np.pi / 2))[2]
    np.testing.assert_allclose(left, jnp.roll(ahead, -32), rtol=1e-4, atol=1e-4)

    place, speed = jnp.array([1.0, 4.0]), jnp.asarray(2.0)
    seen = perception.target(place, speed, state(level(1, 1)))
    np.testing.assert_allclose(seen, [0, 1, 2], atol=1e-6)
    seen = perception.target(place, speed, state(level(1, 1, yaw=np.pi / 2)))
    np.testing.assert_allclose(seen, [1, 0, 2], atol=1e-6)
    # At the target itself there is no direction, and no NaN.
    seen = perception.target(place, speed, state(level(1, 4)))
    np.testing.assert_array_equal(seen, [0, 0, 2])


@pytest.mark.parametrize("shift", [7.5, -40.0])
def test_moving_everything_along_x_changes_nothing(shift):
    boxes = blocks(np.random.default_rng(5))
    there = boxes._replace(centre=boxes.centre + np.array([[shift, 0.0, 0.0]]))
    here = program(False)(boxes, level(x=0.3, yaw=0.4, pitch=0.2))
    moved = program(False)(there, level(x=0.3 + shift, yaw=0.4, pitch=0.2))
    for one, other in zip(here, moved, strict=True):
        off = np.abs(np.asarray(one) - np.asarray(other)) > 1e-3
        assert off.mean() < 0.005  # edges


def test_the_height_of_the_base_is_not_in_the_height_map():
    boxes = blocks(np.random.default_rng(6))
    low, high = (program(False)(boxes, level(z=z, yaw=0.3))[0] for z in (0.2, 0.6))
    np.testing.assert_array_equal(low, high)
