"""Whether a body may exist: the mirror and the overlaps, decided in whole numbers."""

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.design import Design
from jaxrl_suite.envs.unimal.genotype import NUM_SLOTS, Genotype, Places, num_limbs, places

# Of (difference) . (normal): beyond it lines are further apart than 15 cm, and the square of what
# is within it fits 32 bits.
_FAR = 40_000


def mirrored(genotype: Genotype, at: Places) -> jax.Array:
    """bool [], every limb is the mirror image of its partner in the x-z plane.

    A single limb is its own: it lies in the plane. This is the original's test that the centre of
    mass has y = 0, which it made in floating point.
    """
    end = at.origin + at.along
    square = jnp.sum(at.along**2, axis=1)
    other = genotype.partner
    equal = (
        (at.origin[:, 1] == -at.origin[other, 1])
        & (end[:, 1] == -end[other, 1])
        & (square == square[other])
    )
    return jnp.all(equal | ~genotype.alive)


def _reached(p: jax.Array, q: jax.Array, w: jax.Array, reach: jax.Array) -> jax.Array:
    """Whether the segment q, q + w comes within sqrt(reach) of p; and whether it is at that.

    Returns:
      int32 [], below 0 where it comes nearer, 0 where it is at exactly that distance.
    """
    apart = p - q
    along, length = jnp.sum(apart * w), jnp.sum(w * w)
    far = apart - w
    at_start = jnp.sum(apart * apart) - reach
    at_end = jnp.sum(far * far) - reach
    inside = jnp.sum(apart * apart) * length - along * along - reach * length
    between = (along > 0) & (along < length)
    return jnp.where(between, inside, jnp.minimum(at_start, at_end))


def _near(
    p: jax.Array, u: jax.Array, q: jax.Array, w: jax.Array, reach: jax.Array, *, touching: bool
) -> jax.Array:
    """bool [], the segments p, p + u and q, q + w come within sqrt(reach) of each other.

    Exact for whole numbers of cm: all products stay below 2^31 for bodies up to 5 m and segments
    up to 46 cm. The nearest points are inside both segments, or one of them is an end.
    """
    ends = jnp.stack(
        [
            _reached(p, q, w, reach),
            _reached(p + u, q, w, reach),
            _reached(q, p, u, reach),
            _reached(q + w, p, u, reach),
        ]
    )
    r = p - q
    a, e, b, c, f = (jnp.sum(x * y) for x, y in ((u, u), (w, w), (u, w), (u, r), (w, r)))
    cross = a * e - b * b
    s, t = b * f - c * e, a * f - b * c
    inside = (s > 0) & (s < cross) & (t > 0) & (t < cross)
    normal = jnp.cross(u, w)
    height = jnp.sum(r * normal)
    within = jnp.abs(height) <= _FAR
    height = jnp.where(within, height, 0)
    line = height * height - reach * jnp.sum(normal * normal)
    nearest = jnp.minimum(jnp.min(ends), jnp.where(inside & within, line, 1))
    return nearest <= 0 if touching else nearest < 0


def in_contact(design: Design, genotype: Genotype, at: Places, of: jax.Array) -> jax.Array:
    """bool [n, 11]: slots `of` [n] overlap others at rest, or touch them where that counts."""
    slots = jnp.arange(NUM_SLOTS)
    radius = jnp.full(NUM_SLOTS, lattice.LIMB_RADIUS).at[0].set(lattice.HEAD_RADIUS)

    def near(i: jax.Array, j: jax.Array) -> jax.Array:
        reach = (radius[i] + radius[j]) ** 2
        ends = at.origin[i], at.along[i], at.origin[j], at.along[j]
        return _near(*ends, reach, touching=design.touching) & (i != j)

    found = jax.vmap(jax.vmap(near, in_axes=(None, 0)), in_axes=(0, None))(of, slots)
    return found & genotype.alive[of][:, None] & genotype.alive[None]


def related(genotype: Genotype) -> jax.Array:
    """bool [11, 11], symmetric: one is the other's parent."""
    slots = jnp.arange(NUM_SLOTS)
    child = (genotype.parent[:, None] == slots[None]) & (genotype.alive & (slots > 0))[:, None]
    return child | child.T


def siblings(genotype: Genotype) -> jax.Array:
    """bool [11, 11], the two limbs of a pair that grows from one site."""
    other, slots = genotype.partner, jnp.arange(NUM_SLOTS)
    shared = genotype.alive & (other != slots) & (genotype.parent == genotype.parent[other])
    return shared[:, None] & (other[:, None] == slots[None])


def nothing_collides(design: Design, genotype: Genotype, at: Places) -> jax.Array:
    """bool [], nothing is in contact at rest that should not be.

    Limbs may overlap their parents and, unless ``design.contacts`` is "clean", whatever they did
    when growth last looked.
    """
    wrong = in_contact(design, genotype, at, jnp.arange(NUM_SLOTS)) & ~related(genotype)
    if design.contacts != "clean":
        wrong = wrong & ~genotype.accepted
    return ~jnp.any(wrong)


def is_valid(design: Design, genotype: Genotype) -> jax.Array:
    """bool [], the body keeps the rules that growth enforces: limbs, mirror, contacts at rest."""
    at = places(design, genotype)
    limbs = num_limbs(genotype) >= 1
    return limbs & mirrored(genotype, at) & nothing_collides(design, genotype, at)
