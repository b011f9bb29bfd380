"""Physics steps a second: 36 bodies in one program, against MJX and MuJoCo C on a single body.

All step UNIMAL-like bodies (``bodies.py``) under uniform random controls, T steps a call, from
states that 200 steps of such play have led to: bodies lie and kick on the floor. Newton is bounded
by 6 iterations of 8 line-search steps everywhere; this engine keeps the 8 deepest contacts.

population: "mixed", 36 bodies padded to 11 links; "programs" counts compilations after another
  population has been through it. "one body", a 6-limb body in exact sizes; "mjx", MJX on that
  body, which keeps every contact and stops when it has converged; "MuJoCo C", that body on
  threads, one a core, in float64. Ratios are to mjx.
parts: a step of the mixed population beside its parts, each in a loop of its own on recorded
  states. A part writes what the whole step may keep to itself: shares can exceed one in sum.
newton: the mixed population at other iteration counts; ratios are to 6x8.
memory: the candidates of `population`, each alone in a process, from rest; peak_rss_mib is of
  that process, compiler and imports included, peak_device_mib of an accelerator.

  python benchmarks/physics.py                   # an hour on two cores
  python benchmarks/physics.py --only population --batches 256 --self-collision yes
  python benchmarks/harness.py physics           # the table of all committed rows
"""

import argparse
import dataclasses
import functools
import itertools
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import bodies
import harness
import jax
import jax.numpy as jnp
import mujoco
import mujoco.rollout
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.physics import contact, dynamics, engine, solver
from jaxrl_suite.physics.kinematics import Kinematics, kinematics
from jaxrl_suite.physics.mjx_simulator import mjx_simulator

CANDIDATES = ("mixed", "one body", "mjx", "MuJoCo C")
SEED = 0
WORK = 32768  # environment steps a call, about 2 s on two cores
RECORDED = 8192  # of them in `parts`, whose inputs take about 20 kB each
ATTEMPTS = 3  # XLA's thread pool on a CPU comes to a halt in MJX now and then
# Newton steps, and where they start.
VARIANTS = {"8x8": (8, "warm"), "6x8": (6, "warm"), "4x8": (4, "warm")}
VARIANTS |= {"4x8 cheaper": (4, "cheaper"), "3x8 cheaper": (3, "cheaper")}


class Case(NamedTuple):
    """What one process measures.

    comparison: its name.
    candidates: of :data:`CANDIDATES`; empty for `parts` and `newton`, which time all of theirs.
    batch, steps: B environments, T timesteps a call.
    warm_up: timesteps before, at least.
    self_collision, repeats, smoke: see :class:`physics.Options` and the harness.
    """

    comparison: str
    candidates: tuple[str, ...]
    batch: int
    steps: int
    warm_up: int
    self_collision: bool
    repeats: int = harness.MIN_REPEATS
    smoke: bool = False


class World(NamedTuple):
    """A batch after its warm-up: scene, states [B], controls [T, B, NV] in [-1, 1].

    axis: 0 where every environment has a scene of its own, None where they share one.
    diverged: environments that did in the warm-up.
    """

    simulated: physics.Simulator
    axis: int | None
    diverged: int
    scene: physics.Scene
    states: physics.State
    controls: jax.Array


def play(simulated: physics.Simulator, axis: int | None) -> Callable[..., tuple]:
    """Jitted ``(scene, states [B], controls [T, B, NV]) -> (states, environments diverged)``."""
    step = jax.vmap(simulated.step, in_axes=(axis, 0, 0))

    @jax.jit
    def run(scene: physics.Scene, states: physics.State, controls: jax.Array) -> tuple:
        def body(carry: tuple, control: jax.Array) -> tuple[tuple, None]:
            states, diverged = carry
            states, told = step(scene, states, control)
            return (states, diverged + jnp.sum(told.diverged, dtype=jnp.int32)), None

        return jax.lax.scan(body, (states, jnp.zeros((), jnp.int32)), controls)[0]

    return run


def world(
    case: Case, scene: physics.Scene, sizes: physics.Sizes, like: physics.Options, axis: int | None
) -> World:
    """Plays the warm-up, with the options of a body but for the solver's."""
    chosen = {"newton_steps": 6, "line_search_steps": 8, "self_collision": case.self_collision}
    simulated = physics.simulator(sizes, dataclasses.replace(like, **chosen))
    shape = (case.steps, case.batch, sizes.num_dofs)
    draw = functools.partial(jax.random.uniform, shape=shape, minval=-1.0)
    init = jax.vmap(simulated.init, in_axes=(axis,), axis_size=case.batch)
    states = jax.jit(init)(scene)
    keys = jax.random.split(jax.random.key(SEED), 1 + -(-case.warm_up // case.steps))
    warm = play(simulated, axis)  # not the one that is timed, whose compilation is timed, too
    diverged = 0
    for key in keys[1:]:
        states, count = warm(scene, states, draw(key))
        diverged += int(count)
    return World(simulated, axis, diverged, scene, states, draw(keys[0]))


def mixed_world(case: Case) -> World:
    """The mixed population after its warm-up."""
    return world(case, *bodies.mixed(case.batch, SEED), axis=0)


def one_world(case: Case, limbs: int = 6) -> World:
    """A single body in exact sizes after its warm-up."""
    body = bodies.one(limbs, SEED)
    scenes, sizes = physics.stack([body])
    scene = jax.tree.map(lambda x: x[0], scenes)
    return world(case, scene, sizes, body.options, axis=None)


def of_c(at: World) -> Callable[[], tuple[np.ndarray, int]]:
    """MuJoCo C on threads: the same states, the same controls, as many steps."""
    sizes, chosen, cores = at.simulated.sizes, at.simulated.options, harness.machine()["cores"]
    model = mujoco.MjModel.from_xml_string(physics.to_mjcf(sizes, chosen, at.scene))
    model.opt.iterations, model.opt.ls_iterations = chosen.newton_steps, chosen.line_search_steps
    model.opt.tolerance = 1e-8  # MuJoCo's default, and what MJX is given
    places = physics.layout(sizes, at.scene.model)
    qpos, qvel, warm = (np.asarray(x, float) for x in places.to_mujoco(at.states))
    start = np.concatenate([np.zeros((len(qpos), 1)), qpos, qvel], axis=1)  # time comes first
    controls = np.asarray(at.controls, float)[..., places.controls].swapaxes(0, 1).copy()
    reached = np.empty((*controls.shape[:2], start.shape[1]))
    pool = mujoco.rollout.Rollout(nthread=cores)
    data = [mujoco.MjData(model) for _ in range(cores)]

    def run() -> tuple[np.ndarray, int]:
        pool.rollout(model, data, start, controls, initial_warmstart=warm, state=reached)
        # A rollout that diverges stops there, its time as well.
        stopped = reached[:, -1, 0] < (controls.shape[1] - 0.5) * chosen.timestep
        return reached, int(np.sum(stopped))

    return run


# Candidates, the one that ratios are to, and settings that are known after the timing.
Timed = tuple[dict[str, harness.Candidate], str | None, Callable[[], dict[str, Any]]]


def counted(case: Case, diverged: dict[str, int], name: str, fn: Callable, *args: Any) -> tuple:
    """(name, candidate) that notes in `diverged` how many environments did."""

    def work(output: tuple) -> float:
        diverged[name] = int(output[1])
        return case.batch * case.steps

    return name, harness.Candidate(fn, args, work)


def population(case: Case) -> Timed:
    """36 bodies in one program, and a single body in three engines."""
    found, diverged = {}, {}
    add = functools.partial(counted, case, diverged)
    if "mixed" in case.candidates:
        mixed = mixed_world(case)
        diverged["warm-up"] = mixed.diverged
        fn = play(mixed.simulated, mixed.axis)
        found |= [add("mixed", fn, *mixed[3:])]
    if set(case.candidates) - {"mixed"}:
        one = one_world(case)
        diverged["warm-up of one"] = one.diverged
        makers = {
            "one body": lambda: (play(one.simulated, None), *one[3:]),
            "mjx": lambda: (play(mjx_simulator(*one.simulated[:2], one.scene), None), *one[3:]),
            "MuJoCo C": lambda: (of_c(one),),
        }
        found |= [add(name, *makers[name]()) for name in makers if name in case.candidates]

    def told() -> dict[str, Any]:
        facts = {"diverged": sum(diverged.values())}
        if "mixed" in found and case.comparison == "population":
            # Called as users do: a program compiled ahead would refuse what makes it trace again.
            for scene in (mixed.scene, bodies.mixed(case.batch, SEED + 1)[0]):
                jax.block_until_ready(fn(scene, *mixed[4:]))
            facts["programs"] = fn._cache_size()
        return facts

    return found, "mjx" if {"mjx"} < set(found) else None, told


def newton(case: Case) -> Timed:
    """The mixed population at several iteration counts, from the same states."""
    at, found = mixed_world(case), {}
    diverged = {"warm-up": at.diverged}
    for name, (steps, start) in VARIANTS.items():
        chosen = dataclasses.replace(at.simulated.options, newton_steps=steps, start=start)
        fn = play(physics.simulator(bodies.SIZES, chosen), 0)
        found |= [counted(case, diverged, name, fn, *at[3:])]
    return found, "6x8", lambda: {"diverged": sum(diverged.values())}


class Stages(NamedTuple):
    """A step of one environment, taken apart: what its parts read of one another.

    after: the step's own forces and accelerations, for the integrator.
    """

    state: physics.State
    control: jax.Array
    kinematics: Kinematics | None = None
    mass: jax.Array | None = None
    bias: jax.Array | None = None
    problem: solver.Problem | None = None
    after: engine.Forward | None = None


def pieces(sizes: physics.Sizes, chosen: physics.Options) -> dict[str, Callable]:
    """Parts of :func:`engine.step`, ``(scene, stages) -> its output``; the whole step is first."""

    def inertia(scene: physics.Scene, s: Stages) -> tuple[jax.Array, jax.Array]:
        links = dynamics.inertias(scene.model, s.kinematics)
        mass = dynamics.mass_matrix(scene.model, scene.tree, s.kinematics, links)
        rates = (s.state.v, chosen.gravity)
        return mass, dynamics.bias_force(scene.tree, s.kinematics, links, *rates)

    def rows(scene: physics.Scene, s: Stages) -> solver.Problem:
        angle, v = engine.joint_angles(sizes, scene.model, s.state), s.state.v
        force = engine.smooth_force(sizes, scene.model, s.bias, angle, v, s.control)
        place = (sizes, scene, s.kinematics, s.state)
        found = contact.find(*place, self_collision=chosen.self_collision)
        touching = engine.contacts(chosen, scene, found, engine.contact_jacobian(*place, found), v)
        bounded = engine.limits(sizes, chosen, scene.model, angle, v)
        reference = jnp.concatenate([touching.reference, bounded.reference.reshape(-1)])
        weight = jnp.concatenate([touching.weight, bounded.weight.reshape(-1)])
        return solver.Problem(s.mass, force, touching.rows, bounded.rows, reference, weight)

    counts = (chosen.newton_steps, chosen.line_search_steps)
    return {
        "whole step": lambda scene, s: engine.step(sizes, chosen, scene, s.state, s.control)[0],
        "kinematics": lambda scene, s: kinematics(sizes, scene.model, s.state),
        "mass and bias": inertia,
        "contacts and rows": rows,
        "solver": lambda scene, s: solver.solve(s.problem, s.state.acceleration, *counts),
        "integrate": lambda scene, s: engine.integrate(
            sizes, chosen, scene.model, s.state, s.after
        ),
    }


def record(at: World, part: dict[str, Callable]) -> tuple[Stages, jax.Array]:
    """Plays `at.controls`; returns stages [T, B], and how far the parts are from the step.

    That is the largest difference of their accelerations, as a share of the largest acceleration.
    """

    def single(scene: physics.Scene, state: physics.State, control: jax.Array) -> tuple:
        s = Stages(state, control)
        with jax.default_matmul_precision("highest"):
            s = s._replace(kinematics=part["kinematics"](scene, s))
            mass, bias = part["mass and bias"](scene, s)
            s = s._replace(mass=mass, bias=bias)
            s = s._replace(problem=part["contacts and rows"](scene, s))
            ours = part["solver"](scene, s).acceleration
        after, told = engine.step(at.simulated.sizes, at.simulated.options, scene, state, control)
        theirs = told.forward.acceleration
        gap = jnp.max(jnp.abs(ours - theirs)) / jnp.max(jnp.abs(theirs))
        return after, (s._replace(after=told.forward), gap)

    def step(states: physics.State, control: jax.Array) -> tuple:
        return jax.vmap(single)(at.scene, states, control)

    stages, gaps = jax.jit(lambda *args: jax.lax.scan(step, *args)[1])(at.states, at.controls)
    return stages, jnp.max(gaps)


def parts(case: Case) -> Timed:
    """A step, and what it is made of, on recorded states."""
    at = mixed_world(case)
    part = pieces(bodies.SIZES, at.simulated.options)
    stages, gap = record(at, part)
    if not gap < 1e-3:
        raise UsageError(f"the accelerations of the parts are {gap:.1e} from the step's")

    def loop(fn: Callable) -> Callable:
        def body(scene: physics.Scene, s: Stages) -> tuple[physics.Scene, Any]:
            with jax.default_matmul_precision("highest"):
                made = jax.vmap(fn)(scene, s)
            # As in a step, where the next part reads it: all of it is computed and written.
            made = jax.lax.optimization_barrier(made)
            return scene, jax.tree.map(lambda x: jnp.sum(x, dtype=jnp.float32), made)

        return jax.jit(lambda scene, stages: jax.lax.scan(body, scene, stages)[1])

    args, work = (at.scene, stages), case.batch * case.steps
    found = {name: harness.Candidate(loop(fn), args, work) for name, fn in part.items()}
    return found, "whole step", lambda: {"parts off by": f"{gap:.0e}"}


COMPARISONS = {"population": population, "parts": parts, "newton": newton, "memory": population}


def peak_memory() -> dict[str, int]:
    """Of the accelerator, or of this process so far (MiB)."""
    stats = jax.devices()[0].memory_stats()
    if stats:
        return {"peak_device_mib": round(stats["peak_bytes_in_use"] / 2**20)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, else KiB
    return {"peak_rss_mib": round(peak / 2 ** (20 if sys.platform == "darwin" else 10))}


def settings(case: Case) -> dict[str, Any]:
    """Of the rows of a case, as far as they are known before."""
    told = {"comparison": case.comparison, "B": case.batch, "T": case.steps}
    return told | {"self-collision": "yes" if case.self_collision else "no"}


def run(case: Case) -> None:
    """Measures one case; the body of a bounded process."""
    facts = harness.machine()
    candidates, baseline, told = COMPARISONS[case.comparison](case)
    results = harness.compare(candidates, unit="physics steps", repeats=case.repeats)
    peak = peak_memory() if case.comparison == "memory" else {}
    named = {"settings": settings(case) | peak | told(), "facts": facts, "baseline": baseline}
    harness.report("physics", results, **named, smoke=case.smoke)


def unfinished(case: Case, bound: float) -> None:
    """Records that a case took too long, every time."""
    name = " and ".join(case.candidates) or case.comparison
    row = {"benchmark": "physics", "settings": settings(case), "name": name}
    row |= {"unfinished_after_s": bound, "attempts": ATTEMPTS, "machine": harness.machine()}
    harness.append("physics", [row], smoke=case.smoke)


def attempt(case: Case, bound: float) -> None:
    """Measures a case in a process of its own: up to three times, and then without MJX."""
    for _ in range(ATTEMPTS):
        if harness.bounded(run, case, seconds=bound):
            return
        print(f"{settings(case)}: not done in {bound:g} s", flush=True)
    harness.bounded(unfinished, case, bound, seconds=bound + 60)
    rest = tuple(name for name in case.candidates if name != "mjx")
    if rest and rest != case.candidates:
        attempt(case._replace(candidates=rest), bound)


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """One by one, in the order of the command line."""
    everyone = tuple(args.candidates)
    for comparison in args.only:
        whole, alone = comparison == "population", comparison == "memory"
        batches = args.batches if whole or alone else [args.batch]
        groups = [everyone] if whole else [(name,) for name in everyone] if alone else [()]
        collisions = args.self_collision if whole else ["yes"]
        work = RECORDED if comparison == "parts" else WORK
        for batch, names, collide in itertools.product(batches, groups, collisions):
            steps = args.steps or max(8, work // batch)
            sizes = (batch, steps, 0 if alone else args.warm_up, collide == "yes")
            yield Case(comparison, names, *sizes, args.repeats, args.smoke)


def main() -> None:
    """Reads the command line and starts a process for each case."""
    parser = harness.arguments(__doc__.splitlines()[0])
    several = functools.partial(parser.add_argument, nargs="+")
    several("--only", choices=COMPARISONS, default=list(COMPARISONS))
    several("--batches", type=int, default=[64, 256, 1024, 4096], help="of population and memory")
    several("--candidates", choices=CANDIDATES, default=list(CANDIDATES), help="of the same")
    several("--self-collision", choices=("yes", "no"), default=["yes", "no"], help="of population")
    parser.add_argument("--batch", type=int, default=256, help="of parts and newton")
    parser.add_argument("--steps", type=int, default=None, help=f"T; None for about {WORK} / B")
    parser.add_argument("--warm-up", type=int, default=200, help="steps before, untimed")
    parser.add_argument("--bound", type=float, default=900, help="seconds for a process")
    args = parser.parse_args()
    if args.smoke:
        args.batches, args.batch, args.steps, args.warm_up = [4], 4, 3, 0
        args.repeats, args.self_collision = harness.MIN_REPEATS, args.self_collision[:1]
    for case in cases(args):
        attempt(case, args.bound)


if __name__ == "__main__":
    main()
