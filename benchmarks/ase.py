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
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import mujoco
import mujoco.rollout
import numpy as np
import optax

from jaxrl_suite import core, physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.character import Figure
from jaxrl_suite.envs.humanoid import figure as servos
from jaxrl_suite.envs.humanoid.observation import FRAME_SIZE, SENSE_SIZE
from jaxrl_suite.ops import hypersphere, running
from jaxrl_suite.ops.distributions import DiagonalNormal
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import learner as learning_rule
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase import replay
from jaxrl_suite.systems.ase.acting import Experience, low_source

try:
    import ase_peer as peer
    import harmodt_peer
    import torch
except ImportError:
    peer = torch = None

COMPARISONS = ("simulation", "iteration", "learning")
UNITS = {"simulation": "control steps", "iteration": "samples", "learning": "samples"}
# Environments: of simulation, and of the others.
ENVS = {"cpu": (64, 64), "gpu": (4096, 2048)}
SPREAD = 0.2  # rad, half-width of the targets around the default pose
CHECKED, HEIGHT = 10, 1e-3  # control steps, and m by which the median root may differ in them
GAP = 1e-3  # relative, by which losses and gradients may differ
SEED = 0

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


def play(figure: Figure) -> Callable[..., tuple]:
    """Jitted ``(scene, states [N], actions [T, N, A]) -> (states, root heights [T, N], lost)``."""
    move = jax.vmap(figure.move, in_axes=(None, 0, 0))

    @jax.jit
    def run(scene: physics.Scene, states: physics.State, actions: jax.Array) -> tuple:
        def body(states: physics.State, action: jax.Array) -> tuple[physics.State, tuple]:
            told = move(scene, states, action)
            return told.after, (told.after.q[:, 2], jnp.sum(told.diverged))

        states, (height, lost) = jax.lax.scan(body, states, actions)
        return states, height, jnp.sum(lost)

    return run


def in_c(
    scene: physics.Scene, states: physics.State, actions: jax.Array
) -> Callable[[], np.ndarray]:
    """The same in MuJoCo C on threads; returns root heights [T, N]."""
    model, cores = mujoco.MjModel.from_xml_string(humanoid.mjcf()), harness.machine()["cores"]
    places = physics.layout(servos.simulation().sizes, scene.model)
    qpos, qvel, warm = (np.asarray(x, float) for x in places.to_mujoco(states))
    start = np.concatenate([np.zeros((len(qpos), 1)), qpos, qvel], axis=1)  # time comes first
    controls = np.asarray(servos.targets(actions), float).swapaxes(0, 1)
    controls = controls.repeat(servos.PHYSICS_STEPS, axis=1)
    reached = np.empty((*controls.shape[:2], start.shape[1]))
    pool = mujoco.rollout.Rollout(nthread=cores)
    data = [mujoco.MjData(model) for _ in range(cores)]

    def run() -> np.ndarray:
        pool.rollout(model, data, start, controls, initial_warmstart=warm, state=reached)
        return reached[:, servos.PHYSICS_STEPS - 1 :: servos.PHYSICS_STEPS, 3].T

    return run


def simulation(case: Case) -> Timed:
    """Control steps of the backends, against MuJoCo C."""
    envs, steps = envs_of(case), 3 if case.smoke else config_of(case).num_steps
    figure = humanoid.humanoid()
    scene = figure.scene()
    shape = (2, steps, envs, figure.action_size)
    angles = jax.random.uniform(jax.random.key(SEED), shape, minval=-SPREAD, maxval=SPREAD)
    before, actions = (angles - servos.OFFSET) / servos.SCALE
    stand = jax.tree.map(lambda x: jnp.stack([x] * envs), figure.stand(scene))
    states, _, lost = play(figure)(scene, stand, before)
    run = in_c(scene, states, actions)
    height, checked = run().copy(), min(CHECKED, steps)
    settings = {"N": envs, "T": steps, "lost": int(lost)}

    def work(name: str) -> Callable[[tuple], float]:
        def count(output: tuple) -> float:
            gap = np.max(np.abs(np.asarray(output[1]) - height)[:checked], axis=0)
            middle, beyond = float(np.median(gap)), int(np.sum(~(gap < HEIGHT)))
            if not middle < HEIGHT:
                raise UsageError(
                    f"the median root of {name} leaves MuJoCo's by {middle:.1e} m in {checked} "
                    "control steps: it simulates something else, and is not timed"
                )
            settings[f"{name} off by"] = f"{middle:.0e} m ({beyond} above {HEIGHT:g} m)"
            settings["lost"] += int(output[2])
            return envs * steps

        return count

    args = (scene, states, actions)
    found = {
        name: harness.Candidate(play(humanoid.humanoid(name)), args, work(name))
        for name in case.backends
    }
    found["MuJoCo C"] = harness.Candidate(run, (), envs * steps)
    return found, "MuJoCo C", settings


class Loop(NamedTuple):
    """A system and what it is made of."""

    system: core.System
    source: core.Source
    learner: core.Learner


def loop_of(config: ase.Config, hyper: ase.Hyper) -> Loop:
    """As `systems/ase/system.py` makes it."""
    env = ase.make_character(config)
    seen, nets = env.observation_sizes, asking.low_nets(config, env.action_size)
    inputs = seen["body"] + seen["task"]
    sizes = learning_rule.Sizes(inputs, config.networks.latent, seen["window"])
    learner, source = learning_rule.learner(config, nets, sizes), low_source(env, config)
    system = core.fuse(
        learner,
        source,
        hyper=hyper,
        evaluate=lambda state, key: {},
        frames_per_update=config.frames_per_update,
    )
    return Loop(system, source, learner)


def iteration(case: Case) -> Timed:
    """A whole update and its two halves; all start from states of the articulated backend."""
    config, hyper = config_of(case), ase.PRESETS["planar" if case.smoke else "quick"].hyper
    first = loop_of(config, hyper)
    state = jax.jit(first.system.init)(jax.random.key(SEED))
    # Recorded, to be learned from; and environments are no longer in step with one another.
    sample = jax.jit(first.source.sample)
    source, played = sample(state.source, state.learner.params, state.key)
    state, found = state._replace(source=source), {}
    for backend in case.backends:
        loop = loop_of(dataclasses.replace(config, backend=backend), hyper)
        whole = harness.Candidate(jax.jit(loop.system.update), (state,), config.batch)
        args = (source, state.learner.params, state.key)
        acting = harness.Candidate(jax.jit(loop.source.sample), args, config.batch)
        found |= {f"update, {backend}": whole, f"experience, {backend}": acting}
    learn = jax.jit(first.learner.update)
    found["learning"] = harness.Candidate(learn, (state.learner, played), config.batch)
    return found, f"update, {case.backends[0]}", settings_of(config)


def settings_of(config: ase.Config) -> dict[str, Any]:
    """Sizes of an update."""
    told = {"N": config.num_envs, "T": config.num_steps}
    return told | {"minibatch": config.minibatch, "epochs": config.epochs}


class Update(NamedTuple):
    """What both learners are given."""

    config: ase.Config
    hyper: ase.Hyper
    nets: asking.Nets
    learner: core.Learner
    state: learning_rule.LearnerState
    played: Experience


def make_update(
    config: ase.Config,
    hyper: ase.Hyper,
    *,
    observation: int = SENSE_SIZE,
    action: int = humanoid.ACTION_SIZE,
    window: int = FRAME_SIZE * 10,
) -> Update:
    """A learner with a full replay, and random experience; sizes are the humanoid's."""
    nets, latent = asking.low_nets(config, action), config.networks.latent
    learner = learning_rule.learner(config, nets, learning_rule.Sizes(observation, latent, window))
    state = core.strongly_typed(jax.jit(learner.init)(jax.random.key(SEED), hyper))
    generator, rows = np.random.default_rng(SEED), (config.num_steps, config.num_envs)
    draw = lambda *shape: generator.standard_normal(shape, np.float32)  # noqa: E731
    normal = lambda *shape: draw(*rows, *shape)  # noqa: E731
    old = jnp.asarray(draw(config.replay, window))
    state = state._replace(replay=replay.Ring(old, jnp.asarray(config.replay, jnp.int32)))
    seen, told = jnp.asarray(normal(observation)), hypersphere.project(normal(latent))
    mean = jax.jit(lambda *x: asking.mean_action(nets, state.params, *x))(seen, told)
    policy = DiagonalNormal(mean, jnp.full_like(mean, hyper.log_std))
    done = policy.sample(jax.random.key(SEED + 1))
    terminated = generator.random(rows) < 0.02
    nothing = np.full(rows, np.nan, np.float32)
    played = Experience(
        observation=seen,
        latent=told,
        action=done,
        log_prob=policy.log_prob(done) + 0.1 * normal(),
        noisy=(generator.random(rows) < 0.9).astype(np.float32),
        value=normal(),
        next_value=normal(),
        task=np.zeros(rows, np.float32),
        style=np.zeros(rows, np.float32),
        terminated=terminated,
        ended=terminated | (generator.random(rows) < 0.01),
        window=0.5 + normal(window),
        clips=draw(config.demonstrations, window),
        total=nothing,
        length=nothing,
        diverged=np.zeros(rows, np.float32),
        dropped=np.zeros(rows, np.float32),
    )
    return Update(config, hyper, nets, learner, state, jax.tree.map(jnp.asarray, played))


def agreement(shared: Update, torch_learner: Any) -> dict[str, float]:
    """How far the peer's loss and each network's gradient are from ours on a minibatch.

    Relative; of gradients in the Euclidean norm.
    """
    config, clip = shared.config, shared.hyper.input_clip
    params, played = shared.state.params, shared.played
    some = lambda x: x.reshape(-1, *x.shape[2:])[: config.minibatch]  # noqa: E731
    rows = learning_rule.Rows(
        running.normalised(params.inputs, some(played.observation), clip),
        *(some(x) for x in (played.latent, played.action, played.log_prob, played.noisy)),
        advantage=some(played.value),
        target=some(played.next_value),
        window=some(played.window),
    )
    windows = tuple(
        running.normalised(params.windows, x[: config.discriminated], clip)
        for x in (rows.window, shared.state.replay.windows, played.clips)
    )
    key = jax.random.key(SEED + 2)
    names = ("actor", "critic", "discriminator")
    weights = {name: getattr(params, name) for name in names}

    def loss(weights: dict) -> jax.Array:
        given = (weights, rows, windows, key)
        return learning_rule.loss(shared.nets, config, shared.hyper, *given)[0]

    with jax.default_matmul_precision("highest"):
        ours, gradient = jax.jit(jax.value_and_grad(loss))(weights)
    other = hypersphere.uniform(key, rows.latent.shape)
    given = peer.experience((rows, windows, other))
    theirs = torch_learner.loss(given[0], peer.Windows(*given[1]), given[2])
    torch_learner.optimiser.zero_grad()
    theirs.backward()
    named = {name: x.grad for name, x in torch_learner.nets.named_parameters()}
    back = harmodt_peer.unload(named, weights)
    apart = lambda a, b: float(  # noqa: E731
        optax.tree.norm(jax.tree.map(jnp.subtract, a, b)) / optax.tree.norm(a)
    )
    gaps = {"loss": abs(float(theirs.detach()) - float(ours)) / abs(float(ours))}
    return gaps | {name: apart(gradient[name], back[name]) for name in names}


def checked(shared: Update, torch_learner: Any) -> dict[str, str]:
    """The agreement as settings of the rows.

    Raises:
      UsageError: the peer does something else.
    """
    gaps = agreement(shared, torch_learner)
    for name, gap in gaps.items():
        if not gap < GAP:
            what = name if name == "loss" else f"gradient of the {name}"
            raise UsageError(f"the peer's {what} is {gap:.1e} from ours: not timed")
    worst = max(gap for name, gap in gaps.items() if name != "loss")
    return {"off by": f"{gaps['loss']:.0e} (gradients {worst:.0e})"}


def learning(case: Case) -> Timed:
    """The learner's update, against PyTorch."""
    config = config_of(case)
    hyper = ase.PRESETS["quick"].hyper
    shared = make_update(config, hyper)
    torch_learner = peer.Learner(config, hyper, shared.state)
    settings = {"sizes": case.sizes, **settings_of(config)} | checked(shared, torch_learner)
    if jax.default_backend() == "gpu":
        torch.backends.cuda.matmul.allow_tf32 = True
    theirs = peer.experience(shared.played)

    def torch_update() -> None:
        torch_learner.update(theirs)
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()

    args = (shared.state, shared.played)
    found = {
        "suite": harness.Candidate(jax.jit(shared.learner.update), args, config.batch),
        "pytorch": harness.Candidate(torch_update, (), config.batch),
    }
    return found, "pytorch", settings


def on_one_device(smoke: bool = False) -> None:
    """Puts the peer where this suite runs, or ends the program."""
    if torch is None:
        sys.exit("the peer of learning needs PyTorch: pip install -r benchmarks/requirements.txt")
    backend = jax.default_backend()
    # Threads that spin at barriers take seconds a call where other processes run, as tests do.
    torch.set_num_threads(1 if smoke else harness.machine()["cores"])
    if backend == "gpu" and torch.cuda.is_available():
        torch.set_default_device("cuda")
    elif backend != "cpu":
        sys.exit(
            f"PyTorch finds no {backend}: JAX_PLATFORMS=cpu python benchmarks/ase.py "
            "--comparisons learning compares on the CPU"
        )


MAKERS = {"simulation": simulation, "iteration": iteration, "learning": learning}


def run(case: Case) -> None:
    """Measures one case; the body of a process."""
    facts, name = harness.machine(), case.comparison
    if name == "learning":
        on_one_device(case.smoke)
        facts |= {"torch": torch.__version__}
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
    if "learning" in args.comparisons and torch is None:
        on_one_device()
    usual = {"simulation": humanoid.BACKENDS, "iteration": ("articulated",), "learning": ()}
    for name in args.comparisons:
        backends = tuple(args.backends or usual[name]) if usual[name] else ()
        case = Case(name, backends, args.sizes, args.envs, args.repeats, args.smoke)
        attempt(case, args.bound)


if __name__ == "__main__":
    main()
