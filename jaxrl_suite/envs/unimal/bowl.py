"""A bumpy bowl as a ground, and the task to escape from it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.arena import CELLS, under
from jaxrl_suite.envs.unimal.body import OPTIONS
from jaxrl_suite.envs.unimal.episode import Motion
from jaxrl_suite.envs.unimal.heights import NUM_HEIGHTS, height_field
from jaxrl_suite.envs.unimal.rules import Rules, Verdict, environment
from jaxrl_suite.physics.ground import above

_SIDE = 50.0  # m, half the arena
_BUMPS = 50  # a side, one every 2 m
_LOW, _HIGH = 0.15, 1.0  # of bumps
_TOP = 1.3  # m
_LEAST_RADIUS = 0.04  # of _SIDE
_EDGE = 8.0  # m, from the arena's, where a body has escaped
_ESCAPED = 100.0  # reward


@functools.cache
def _prefilter() -> np.ndarray:
    """[50, 50]: values at the nodes -> coefficients of the cubic B-spline through them.

    A coefficient's neighbours beyond the ends are its mirror images. (Unser 1999.)
    """
    nodes = np.arange(_BUMPS)
    matrix = np.diag(np.full(_BUMPS, 4.0))
    for step in (-1, 1):
        np.add.at(matrix, (nodes, _mirrored(nodes + step)), 1.0)
    return np.linalg.inv(matrix / 6.0)


def _mirrored(index: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """Of node numbers one or two beyond the ends, those that they mirror."""
    last = _BUMPS - 1
    return last - abs(last - abs(index))


def _weights(t: jax.Array) -> jax.Array:
    """[4], of the coefficients at -1, 0, 1, 2, for a place t between 0 and 1."""
    s = 1.0 - t
    middle = lambda u: 4.0 - 6.0 * u**2 + 3.0 * u**3  # noqa: E731
    return jnp.stack([s**3, middle(t), middle(s), t**3]) / 6.0


class Bowl(NamedTuple):
    """Half a wave over the radius, high at 25 m, times smooth bumps.

    coefficients: [50, 50], of the bumps' cubic spline, by x, then by y; 10 kB.
    """

    coefficients: jax.Array

    def height(self, place: jax.Array) -> jax.Array:
        """At a place [2] (m)."""
        least = (_LEAST_RADIUS * _SIDE) ** 2
        radius = jnp.sqrt(jnp.clip(jnp.sum(place**2), least, _SIDE**2)) / _SIDE
        node = jnp.clip((place + _SIDE) / (2 * _SIDE), 0.0, 1.0) * (_BUMPS - 1)
        low = jnp.minimum(jnp.floor(node), _BUMPS - 2)
        x, y = node - low
        i, j = _mirrored(low.astype(jnp.int32)[:, None] + jnp.arange(-1, 3)[None])
        near = self.coefficients[i[:, None], j[None]]
        bump = jnp.sum(near * _weights(x)[:, None] * _weights(y)[None])
        return _TOP * bump * 0.5 * (1.0 - jnp.cos(2.0 * jnp.pi * radius))

    def of_cell(self, i: jax.Array, j: jax.Array) -> jax.Array:
        """At the centre of a cell of 0.1 m."""
        return self.height((jnp.stack([i, j]) + 0.5) / CELLS)

    def __call__(self, point: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See :class:`jaxrl_suite.physics.Ground`."""
        return above(*jax.value_and_grad(self.height)(point[:2]), point)


def bowl(key: jax.Array) -> Bowl:
    """A random bowl: bumps uniform in 0.15 to 1 every 2 m, joined by a cubic spline, up to 1.3 m.

    Source: Gupta et al. 2021, released code, after Tassa et al. 2018 (quadruped, escape). differs:
    there it is sampled every 0.1 m and cut into triangles; here it is smooth.
    """
    bumps = jax.random.uniform(key, (_BUMPS, _BUMPS), minval=_LOW, maxval=_HIGH)
    matrix = jnp.asarray(_prefilter(), bumps.dtype)
    with jax.default_matmul_precision("highest"):
        return Bowl(matrix @ bumps @ matrix.T)


def escape(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Run out of a bowl, see :func:`bowl`, from its middle.

    The reward is the metres that the head gets further from the middle on the map, and 100 when it
    is 42 m away, which ends the episode; less 0.001 times the sum of the squared action. An episode
    also ends when the head is down to half of its start height less 0.2 m above the ground, and is
    cut off after 1000 actions. Its score is the sum of rewards without the cost of control; its
    metric is the distance from the middle (m). Observations are "proprioceptive" [86] and "hfield"
    [1410].

    Source: Gupta et al. 2021, "Escape", released code.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES`, whose ground is not
      used.
    """

    def judge(scene: physics.Scene, drawn: Bowl, motion: Motion) -> Verdict:
        before, after = (jnp.linalg.norm(at.q[:2]) for at in (motion.before, motion.after))
        out = after >= _SIDE - _EDGE
        return Verdict(drawn, after - before + _ESCAPED * out, after, out)

    rules = Rules(
        draw=bowl,
        furnish=lambda scene, drawn, place: scene._replace(ground=drawn),
        ground=lambda drawn, place: under(drawn.of_cell, place),
        judge=judge,
        see=lambda drawn, state: {"hfield": height_field(drawn.of_cell, state)},
        seen={"hfield": NUM_HEIGHTS},
    )
    return environment(rules, options)
