"""A toy evolution with the staggered births of a ring of slots, for the tests of lineages."""

import numpy as np

from jaxrl_suite.report.lineage import Lineage

OPERATORS = ("angle", "delete", "density", "dof", "gear", "grow", "length")


def evolve(
    seed=0, *, population=64, bodies=448, slots=32, group=2, selection=True, broken=0.0
) -> Lineage:
    """Founders' trait N(0, 1), child's = parent's + N(-0.3, 1), fitness = trait + N(0, 1).

    `group` slots finish a phase; each restarts with a founder while there are any, then with a
    child of the best of 4 of the last `population`. `broken` bodies of 1 have fitness -inf.
    """
    rng = np.random.default_rng(seed)
    flying, rows, trait = [], [], []

    def start(phase):
        started = len(rows) + len(flying)
        if started < population or not selection:
            flying.append((-1, "", rng.normal(), rng.integers(2, 9), phase))
            return
        low = max(0, len(rows) - population)
        drawn = rng.integers(low, len(rows), 4)
        parent = int(max(drawn, key=lambda i: rows[i][2]))
        which = int(rng.integers(7))
        step = rng.normal(-0.3 + 0.1 * (which - 3), 1)
        limbs = np.clip(rows[parent][3] + (which == 5) - (which == 1), 2, 10)
        flying.append((parent, OPERATORS[which], trait[parent] + step, limbs, phase))

    for _ in range(slots):
        start(0)
    phase = 0
    while len(rows) < bodies:
        phase += 1
        for _ in range(group):
            parent, operator, value, limbs, born = flying.pop(0)
            trait.append(value)
            fitness = -np.inf if rng.random() < broken else value + rng.normal()
            rows.append((parent, operator, fitness, limbs, born))
        for _ in range(group):
            start(phase)
    parent, operator, fitness, limbs, born = zip(*rows[:bodies], strict=True)
    return Lineage(np.array(parent), operator, np.array(fitness), np.array(limbs), np.array(born))


def learn(lineage, generation, seed=0, iterations=122):
    """Curves [n, iterations] that end at the fitness, faster in later generations."""
    rng = np.random.default_rng(seed)
    n = len(lineage.fitness)
    pace = 40 * 0.93**generation * rng.lognormal(0, 0.3, n)
    level = np.maximum(lineage.fitness, -9) + 5
    rise = 1 - np.exp(-np.arange(1, iterations + 1) / pace[:, None])
    return level[:, None] * rise + 0.3 * rng.normal(size=(n, iterations))
