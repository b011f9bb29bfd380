"""One update of ASE's low-level learner, and the same in PyTorch; see `ase.py`."""

import sys
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrl_suite import core
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.humanoid.observation import FRAME_SIZE, SENSE_SIZE
from jaxrl_suite.ops import hypersphere, running
from jaxrl_suite.ops.distributions import DiagonalNormal
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import learner as learning_rule
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase import replay
from jaxrl_suite.systems.ase.acting import Experience

try:
    import ase_peer as peer
    import harmodt_peer
    import torch
except ImportError:
    peer = torch = None

GAP = 1e-3  # relative, by which losses and gradients may differ
SEED = 0


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


def candidates(
    config: ase.Config, hyper: ase.Hyper
) -> tuple[dict[str, harness.Candidate], dict[str, str]]:
    """Ours and the peer's, on one device, and their agreement as settings of the rows."""
    shared = make_update(config, hyper)
    torch_learner = peer.Learner(config, hyper, shared.state)
    settings = checked(shared, torch_learner)
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
    return found, settings


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
