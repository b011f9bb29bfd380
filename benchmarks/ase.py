"""ASE's low level: control steps of the humanoid, whole updates, and the learner against PyTorch.

On a CPU the sizes are those of the `quick` preset, 64 environments; on a GPU there are more, and
minibatches, windows and replay grow with them. Every comparison runs in a process of its own.

simulation: control steps a second, four physics steps each, under random servo targets near the
  default pose. Bodies have been pushed about so for as many steps as an update has before, and
  fall in those that are timed. "articulated" and "mjx" are the humanoid's backends. The peer,
  "MuJoCo C", steps `humanoid.mjcf()` in float64 on threads, one a core, with MuJoCo's own solver
  settings, from the same states to the same targets. Before any timing heights of roots are
  compared over ten control steps: the median body must be within 1 mm of the peer's. The rows say
  by how much it is off, and how many are off by more than that, for the backends' Newton steps
  are few and do not always arrive.
iteration: samples a second of an update of the run's beginning: "update" is the whole of it, as
  training compiles it, "experience" acts and simulates alone, "learning" learns from recorded
  experience. A part's ratio r to the update means that it takes 1/r of the update's time. The
  ratios are to the update of the first backend.
learning: one update of the learner, all epochs: rewards, advantages, normalisers, policy, critic,
  discriminator with its penalties, encoder, diversity, replay. Contents are random, sizes the
  humanoid's; "sizes paper" has the published networks. The peer is `ase_peer.py` on the same
  device: on a CPU on as many threads as there are cores, on a GPU with products in TF32, which is
  what XLA takes there. Losses and gradients must agree on a minibatch before anything is timed.
  No candidate donates its arguments, so that ours copies the replay in every call.

  python benchmarks/ase.py                              # MJX compiles for minutes on a CPU
  python benchmarks/ase.py --backends articulated
  python benchmarks/ase.py --comparisons learning --sizes paper
  python benchmarks/harness.py ase                      # the table of all committed rows
"""

import dataclasses
from typing import Any, NamedTuple

import ase_iteration
import ase_learning
import ase_simulation
import harness
import jax
import mujoco

from jaxrl_suite.envs import humanoid
from jaxrl_suite.systems import ase

COMPARISONS = ("simulation", "iteration", "learning")
UNITS = {"simulation": "control steps", "iteration": "samples", "learning": "samples"}
# Environments: of simulation, and of the others.
ENVS = {"cpu": (64, 64), "gpu": (4096, 2048)}

# Candidates, the one that ratios are to, and the rows' settings, complete after the timing.
Timed = tuple[dict[str, harness.Candidate], str | None, dict[str, Any]]


class Case(NamedTuple):
    """What one process measures.

    comparison: of :data:`COMPARISONS`.
    backends: who simulates.
    sizes: "quick" or "paper", of learning.
    envs: environments; 0 for what suits the device.
    repeats, smoke: see the harness.
    """

    comparison: str
    backends: tuple[str, ...] = ("articulated",)
    sizes: str = "quick"
    envs: int = 0
    repeats: int = harness.MIN_REPEATS
    smoke: bool = False


def envs_of(case: Case) -> int:
    """Environments of a case."""
    kind = "cpu" if jax.default_backend() == "cpu" else "gpu"
    return case.envs or (2 if case.smoke else ENVS[kind][case.comparison != "simulation"])


def scaled(config: ase.Config, num_envs: int) -> ase.Config:
    """For other environments: as many minibatches, windows and old windows a row as before."""
    names = ("minibatch", "discriminated", "demonstrations", "replay", "kept")
    more = {name: getattr(config, name) * num_envs // config.num_envs for name in names}
    return dataclasses.replace(config, num_envs=num_envs, **more)


def config_of(case: Case) -> ase.Config:
    """The settings that a case is about; a smoke test's body is a point."""
    if case.smoke:
        config = scaled(ase.PRESETS["planar"].config, 16)
        return dataclasses.replace(config, num_steps=4)
    config = ase.PRESETS["quick"].config
    if case.sizes == "paper":
        config = dataclasses.replace(config, networks=ase.PRESETS["paper"].config.networks)
    return scaled(config, envs_of(case))


def simulation(case: Case) -> Timed:
    """Control steps of the backends, against MuJoCo C."""
    steps = 3 if case.smoke else config_of(case).num_steps
    found, settings = ase_simulation.candidates(case.backends, envs_of(case), steps)
    return found, "MuJoCo C", settings


def iteration(case: Case) -> Timed:
    """A whole update and its two halves, against the update of the first backend."""
    config, hyper = config_of(case), ase.PRESETS["planar" if case.smoke else "quick"].hyper
    found = ase_iteration.candidates(config, hyper, case.backends)
    return found, f"update, {case.backends[0]}", settings_of(config)


def learning(case: Case) -> Timed:
    """The learner's update, against PyTorch."""
    config = config_of(case)
    found, agreement = ase_learning.candidates(config, ase.PRESETS["quick"].hyper)
    return found, "pytorch", {"sizes": case.sizes, **settings_of(config)} | agreement


def settings_of(config: ase.Config) -> dict[str, Any]:
    """Sizes of an update."""
    told = {"N": config.num_envs, "T": config.num_steps}
    return told | {"minibatch": config.minibatch, "epochs": config.epochs}


MAKERS = {"simulation": simulation, "iteration": iteration, "learning": learning}


def run(case: Case) -> None:
    """Measures one case; the body of a process."""
    facts, name = harness.machine(), case.comparison
    if name == "learning":
        ase_learning.on_one_device(case.smoke)
        facts |= {"torch": ase_learning.torch.__version__}
    if name == "simulation":
        facts |= {"mujoco": mujoco.__version__}
    candidates, baseline, settings = MAKERS[name](case)
    results = harness.compare(candidates, unit=UNITS[name], repeats=case.repeats)
    harness.report(
        "ase",
        results,
        settings={"comparison": name} | settings,
        facts=facts,
        baseline=baseline,
        smoke=case.smoke,
    )
    named = {result.name: result for result in results}
    for backend in case.backends if name == "iteration" else ():
        whole = named[f"update, {backend}"]
        for part in (named[f"experience, {backend}"], named["learning"]):
            share = 1.0 / part.ratio(whole, "wall").median
            print(f"{part.name}: {share:.0%} of the time of {whole.name}", flush=True)


def unfinished(case: Case, bound: float) -> None:
    """Records that MJX took too long."""
    settings = {"comparison": case.comparison, "N": envs_of(case)}
    row = {"benchmark": "ase", "settings": settings, "name": "mjx"}
    row |= {"unfinished_after_s": bound, "machine": harness.machine()}
    harness.append("ase", [row], smoke=case.smoke)


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
    """Reads the command line and starts a process for each comparison."""
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--comparisons", nargs="+", choices=COMPARISONS, default=list(COMPARISONS))
    parser.add_argument(
        "--backends",
        nargs="+",
        choices=humanoid.BACKENDS,
        default=None,
        help="who simulates; None for all in simulation and articulated in iteration",
    )
    parser.add_argument("--sizes", choices=("quick", "paper"), default="quick", help="of learning")
    parser.add_argument("--envs", type=int, default=0, help="0 for what suits the device")
    parser.add_argument("--bound", type=float, default=1800, help="seconds for a process")
    args = parser.parse_args()
    if args.smoke:
        args.repeats = harness.MIN_REPEATS
    if "learning" in args.comparisons and ase_learning.torch is None:
        ase_learning.on_one_device()
    usual = {"simulation": humanoid.BACKENDS, "iteration": ("articulated",), "learning": ()}
    for name in args.comparisons:
        backends = tuple(args.backends or usual[name]) if usual[name] else ()
        case = Case(name, backends, args.sizes, args.envs, args.repeats, args.smoke)
        attempt(case, args.bound)


if __name__ == "__main__":
    main()
