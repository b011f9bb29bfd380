"""The quadruped: control steps against MuJoCo C, and whole updates of the three levels.

On a CPU there are 64 robots in `simulation`, and in `iteration` the presets' environments; on a GPU
there are more. Every comparison runs in a process of its own, and so does every level.

simulation: control steps a second, 20 ms and five physics steps each, under small random actions.
  Robots start somewhere in a clip of the gait library, at its speed, and sag in what is timed, as
  actions that mean nothing hold no pose. "articulated" and "mjx" are the robot's backends, physics
  alone. The peer, "MuJoCo C", steps `robot.mjcf()` in float64 on threads, one a core, with MuJoCo's
  own solver settings, from the same states under the same actions; the backends take the robot's, 6
  Newton steps at most, 4 with mjx. The servo's target is the angle of now plus the action, and so
  depends on the peer's own path: it is followed once before the timing, and what is timed is the
  same path again, from targets that are known, in one call without Python. The peer is spared
  working them out. Before any timing heights of bases are compared over ten control steps: the
  median robot must be within 1 mm of the peer's; the rows say by how much it is off, and how many
  are off by more than that.
  "playground" and "tag" are whole steps of these environments, without resets: the physics with
  walls, in the playground with the four nearest boxes too, and all that the robots see of them,
  rewards and ends. They are dropped, and have landed when the timing begins. As many robots as
  elsewhere: half as many games, of two. Ratios are to MuJoCo C, which has neither and sees nothing.
iteration: samples a second of an update of the run's beginning: "update" is the whole of it, as
  training compiles it, "experience" acts and simulates alone, "learning" learns from recorded
  experience. A part's ratio r to the update means that it takes 1/r of the update's time. Presets
  are pmc's "quick", epmc's "terrain" and sepmc's "tag", over levels that have learned nothing,
  whose robots fall soon. A sample of sepmc is a step of a game, in which both robots act.

  python benchmarks/lifelike.py                             # about 10 minutes on two cores
  python benchmarks/lifelike.py --backends articulated
  python benchmarks/lifelike.py --comparisons iteration --levels pmc
  python benchmarks/harness.py lifelike                     # the table of all committed rows
"""

import dataclasses
from typing import Any, NamedTuple

import harness
import jax
import lifelike_iteration
import lifelike_simulation
import mujoco

from jaxrl_suite.core import Preset, UsageError
from jaxrl_suite.envs.quadruped import BACKENDS
from jaxrl_suite.systems import lifelike

COMPARISONS = ("simulation", "iteration")
LEVELS = tuple(lifelike_iteration.PRESETS)
UNITS = {"simulation": "control steps", "iteration": "samples"}
BASELINES = {"simulation": "MuJoCo C", "iteration": "update"}
# Environments: of simulation, and of iteration, where 0 are the preset's.
ENVS = {"cpu": (64, 0), "gpu": (4096, 2048)}
STEPS = 16  # of simulation


class Case(NamedTuple):
    """What one process measures.

    comparison: of :data:`COMPARISONS`.
    backends: who simulates, of simulation.
    level: of :data:`LEVELS`, of iteration.
    envs: environments; 0 for what suits the device.
    repeats, smoke: see the harness.
    """

    comparison: str
    backends: tuple[str, ...] = ()
    level: str = ""
    envs: int = 0
    repeats: int = harness.MIN_REPEATS
    smoke: bool = False


def envs_of(case: Case) -> int:
    """Environments of a case; 0 for those of its preset."""
    kind = "cpu" if jax.default_backend() == "cpu" else "gpu"
    return case.envs or (2 if case.smoke else ENVS[kind][case.comparison != "simulation"])


def preset_of(case: Case) -> Preset:
    """The settings of an iteration; a smoke test has small networks and two clips."""
    config, hyper, updates = lifelike_iteration.preset_of(case.level, envs_of(case))
    if case.smoke:
        networks = lifelike.Networks(codes=8, width=4, hidden=(16,), sensed=8, told=4)
        less = {"networks": networks, "clips": ("stand", "trot"), "memory": 8, "ring": 2}
        less |= {"num_steps": 4, "minibatches": 2, "epochs": 2, "mirrored": False}
        config = dataclasses.replace(config, **less)
    return Preset(config, hyper, updates)


def simulation(case: Case) -> tuple[dict[str, harness.Candidate], dict[str, Any]]:
    """Control steps of the backends and the worlds, against MuJoCo C."""
    return lifelike_simulation.candidates(case.backends, envs_of(case), 3 if case.smoke else STEPS)


def iteration(case: Case) -> tuple[dict[str, harness.Candidate], dict[str, Any]]:
    """A whole update of a level and its two halves."""
    config, hyper, _ = preset_of(case)
    sizes = ("level", "num_envs", "num_steps", "minibatches", "epochs")
    called = ("level", "N", "T", "minibatches", "epochs")
    settings = {name: getattr(config, size) for name, size in zip(called, sizes, strict=True)}
    return lifelike_iteration.candidates(config, hyper), settings


MAKERS = {"simulation": simulation, "iteration": iteration}


def run(case: Case) -> None:
    """Measures one case; the body of a process."""
    facts, name = harness.machine(), case.comparison
    if name == "simulation":
        facts |= {"mujoco": mujoco.__version__}
    candidates, settings = MAKERS[name](case)
    results = harness.compare(candidates, unit=UNITS[name], repeats=case.repeats)
    harness.report(
        "lifelike",
        results,
        settings={"comparison": name} | settings,
        facts=facts,
        baseline=BASELINES[name],
        smoke=case.smoke,
    )
    whole, *parts = results
    for part in parts if name == "iteration" else ():
        share = 1.0 / part.ratio(whole, "wall").median
        print(f"{part.name}: {share:.0%} of the time of an update of {case.level}", flush=True)


def unfinished(case: Case, bound: float) -> None:
    """Records that MJX took too long."""
    settings = {"comparison": case.comparison, "N": envs_of(case)}
    row = {"benchmark": "lifelike", "settings": settings, "name": "mjx"}
    row |= {"unfinished_after_s": bound, "machine": harness.machine()}
    harness.append("lifelike", [row], smoke=case.smoke)


def attempt(case: Case, bound: float) -> None:
    """Measures a case in a process of its own, and then without MJX if it does not come back."""
    if harness.bounded(run, case, seconds=bound):
        return
    print(f"{case}: not done in {bound:g} s", flush=True)
    rest = tuple(name for name in case.backends if name != "mjx")
    if rest != case.backends:
        harness.bounded(unfinished, case, bound, seconds=60)
        attempt(case._replace(backends=rest), bound)


def main() -> None:
    """Reads the command line and starts a process for each comparison and each level."""
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--comparisons", nargs="+", choices=COMPARISONS, default=list(COMPARISONS))
    parser.add_argument(
        "--backends",
        nargs="+",
        choices=BACKENDS,
        default=list(BACKENDS),
        help="who simulates, of simulation",
    )
    parser.add_argument(
        "--levels", nargs="+", choices=LEVELS, default=list(LEVELS), help="of iteration"
    )
    parser.add_argument("--envs", type=int, default=0, help="0 for what suits the device")
    parser.add_argument("--bound", type=float, default=1800, help="seconds for a process")
    args = parser.parse_args()
    try:
        for level in args.levels if args.envs and "iteration" in args.comparisons else ():
            lifelike_iteration.preset_of(level, args.envs).config.check()
    except UsageError as error:
        parser.error(f"--envs: {error}")
    if args.smoke:
        args.repeats = harness.MIN_REPEATS
    shared = {"envs": args.envs, "repeats": args.repeats, "smoke": args.smoke}
    for name in args.comparisons:
        if name == "simulation":
            attempt(Case(name, backends=tuple(args.backends), **shared), args.bound)
        for level in args.levels if name == "iteration" else ():
            attempt(Case(name, level=level, **shared), args.bound)


if __name__ == "__main__":
    main()
