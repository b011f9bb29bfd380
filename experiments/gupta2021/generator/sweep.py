"""Does the generator of bodies make what the original's makes? Shares over thousands of proposals.

python -m experiments.gupta2021.generator.sweep      (about 3 minutes on two CPU cores)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.results import ResultsFile
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal import CLEAN, ORIGINAL, Genotype
from jaxrl_suite.envs.unimal.genotype import head, places
from jaxrl_suite.envs.unimal.growth import NUM_DRAWS, TRIES, propose
from jaxrl_suite.envs.unimal.mutation import MIN_LIMBS
from jaxrl_suite.envs.unimal.population import TARGETS, species
from jaxrl_suite.envs.unimal.validity import nothing_collides
from jaxrl_suite.runtime.compile_cache import enable_compile_cache

RESULTS = Path(__file__).parent / "results" / "shares.jsonl"
BODIES = 4000
LANES, STEPS = 64, 800  # that walk through candidates, mutation by mutation
CLEAN_LANES, CLEAN_MUTATIONS = 400, 250
# The original generator's counts: 400 bodies, 5,651 proposals with limbs attached, 1,868 growths.
BUILT, CALLS, SAMPLE = 5651, 1868, 400
LIMBS = {2: 53, 3: 42, 4: 71, 5: 35, 6: 71, 7: 42, 8: 68, 9: 18}
PAIRS = {"level 45": 104, "level 90": 100, "level 135": 113, "sloping 90": 79, "sloping 135": 8}
PAIR_DIRECTIONS = (2, 3, 4, 11, 12)
SPECIES = {"all": (400, 225), "2 limbs": (53, 11), "8 limbs": (68, 49)}


class Growth(NamedTuple):
    """Of one growth, the tries up to the first that is valid: counts, int32 []."""

    built: jax.Array
    lopsided: jax.Array
    in_contact: jax.Array
    accepted: jax.Array


def growth(genotype: Genotype, key: jax.Array) -> Growth:
    """Tries as :func:`unimal.grow` does, and counts why they fail."""
    draws = jax.random.uniform(key, (TRIES, NUM_DRAWS))
    tries = jax.vmap(lambda u: propose(ORIGINAL, genotype, u))(draws)
    sound = nothing_collides(ORIGINAL, genotype, places(ORIGINAL, genotype))
    valid = tries.valid & sound
    before = jnp.cumsum(valid) - valid == 0
    count = lambda x: jnp.sum(x & before & tries.built, dtype=jnp.int32)  # noqa: E731
    return Growth(
        count(valid | ~valid), count(~tries.mirrored), count(~(tries.apart & sound)), count(valid)
    )


def growths(key: jax.Array) -> tuple[Growth, jax.Array, jax.Array]:
    """Leaves [steps], of one candidate after another; which steps grow, and which are the last."""

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, tuple[Growth, jax.Array]]:
        genotype, target = carry
        how, count, again = jax.random.split(key, 3)
        child, operator, _ = unimal.mutate(ORIGINAL, genotype, how)
        done = unimal.num_limbs(child) >= target
        begin = head(child.density), jax.random.randint(again, (), MIN_LIMBS, TARGETS)
        after = jax.tree.map(lambda a, b: jnp.where(done, a, b), begin, (child, target))
        return after, (growth(genotype, count), operator == 0, done)

    start = head(jnp.zeros(2, jnp.int32)), jnp.asarray(MIN_LIMBS, jnp.int32)
    counts, grows, last = jax.lax.scan(step, start, jax.random.split(key, STEPS))[1]
    return jax.tree.map(lambda x: jnp.where(grows, x, 0), counts), grows, last


def shares() -> Iterator[dict[str, Any]]:
    """Why proposals fail.

    A body that cannot grow any more fails at every try until it is whole again, so that proposals
    do not fail independently: `low` and `high` are where 95% of the shares lie of samples of as
    many bodies as the original was asked about, drawn from ours.
    """
    counts, grows, last = jax.jit(jax.vmap(growths))(jax.random.split(jax.random.key(1), LANES))
    body = np.cumsum(last, axis=1) - last
    whole = body < np.sum(last, axis=1, keepdims=True)
    index = (body + np.arange(LANES)[:, None] * STEPS)[whole]

    def by_body(x: jax.Array) -> np.ndarray:
        total = np.bincount(index, np.asarray(x)[whole])
        return total[np.unique(index)]

    built, lopsided, in_contact, accepted = (by_body(x) for x in counts)
    calls = by_body(grows)
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(built), (2000, SAMPLE))
    for group, name, ours, of, original, original_of in (
        ("proposals", "lopsided", lopsided, built, 0.56, BUILT),
        ("proposals", "in contact", in_contact, built, 0.27, BUILT),
        ("proposals", "accepted", accepted, built, 0.33, BUILT),
        ("growths", "fail 50 times", calls - accepted, calls, 0.012, CALLS),
    ):
        sampled = ours[drawn].sum(axis=1) / of[drawn].sum(axis=1)
        low, high = np.quantile(sampled, [0.025, 0.975])
        yield {
            "group": group, "name": name, "ours": int(ours.sum()), "ours_of": int(of.sum()),
            "original": round(original * original_of), "original_of": original_of,
            "low": round(float(low), 4), "high": round(float(high), 4), "bodies": len(built),
        }  # fmt: skip


def bodies() -> Iterator[dict[str, Any]]:
    """Limbs, directions of pairs, species, lattice."""
    found = jax.jit(unimal.candidates, static_argnums=(0, 2))(ORIGINAL, jax.random.key(0), BODIES)
    g = jax.tree.map(np.asarray, found.genotype)
    limbs = g.alive.sum(1) - 1
    for count, original in LIMBS.items():
        yield {
            "group": "limbs", "name": str(count), "ours": int((limbs == count).sum()),
            "ours_of": BODIES, "original": original, "original_of": 400,
        }  # fmt: skip
    slots = np.arange(g.alive.shape[1])
    parents = np.take_along_axis(g.parent, g.partner, 1)
    first = g.alive & (g.partner > slots) & (parents == g.parent)
    directions = np.bincount(g.direction[first], minlength=17)
    for (name, original), index in zip(PAIRS.items(), PAIR_DIRECTIONS, strict=True):
        yield {
            "group": "pairs on one site", "name": name, "ours": int(directions[index]),
            "ours_of": int(directions.sum()), "original": original, "original_of": 404,
        }  # fmt: skip
    # Species of as many bodies as the original was asked about, in the mean over ten samples.
    kinds = np.asarray(jax.vmap(species)(found.genotype))
    for name, (size, original) in SPECIES.items():
        some = kinds if name == "all" else kinds[limbs == int(name[0])]
        counts = [len(np.unique(some[i : i + size], axis=0)) for i in range(0, len(some), size)]
        whole = counts[: len(some) // size]
        yield {
            "group": "species", "name": name, "ours": round(float(np.mean(whole)), 1),
            "ours_of": size, "original": original, "original_of": size,
        }  # fmt: skip


def clean() -> Iterator[dict[str, Any]]:
    """Mutations in a row that leave the valid set."""

    def step(genotype: Genotype, key: jax.Array) -> tuple[Genotype, jax.Array]:
        child = unimal.mutate(CLEAN, genotype, key).genotype
        return child, ~unimal.is_valid(CLEAN, child)

    def run(key: jax.Array) -> jax.Array:
        start = head(jnp.zeros(2, jnp.int32))
        return jax.lax.scan(step, start, jax.random.split(key, CLEAN_MUTATIONS))[1]

    invalid = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(2), CLEAN_LANES))
    yield {
        "group": "clean mutations", "name": "invalid", "ours": int(np.sum(invalid)),
        "ours_of": CLEAN_LANES * CLEAN_MUTATIONS, "original": 0, "original_of": 0,
    }  # fmt: skip


def main() -> None:
    """Measures all that the results file lacks."""
    enable_compile_cache()
    settings = {"bodies": BODIES, "steps": [LANES, STEPS], "clean": [CLEAN_LANES, CLEAN_MUTATIONS]}
    results = ResultsFile(RESULTS, keys=("group", "name", "seed"), settings=settings)
    for group, measure in (("proposals", shares), ("limbs", bodies), ("clean mutations", clean)):
        if results.lacks(group=group):
            rows = [row | {"seed": 0} for row in measure()]
            results.add(rows)
            for row in rows:
                print(*(row[k] for k in ("group", "name", "ours", "ours_of", "original")))


if __name__ == "__main__":
    main()
