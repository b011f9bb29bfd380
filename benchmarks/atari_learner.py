"""The learner's update on Atari screens: the suite against the way it is usually written.

Three candidates make the same update of IMPALA's residual network from the same parameters and
the same batch: V-trace loss as sums, global-norm clip of 40, RMSProp.

peer: the layout of cleanba's learner, written here anew: ``nn.Conv`` and ``nn.max_pool``, the
  network vmapped over time, V-trace vmapped over the batch.
plainly folded: the peer with time and batch folded into one axis.
suite: ``ActorCritic`` and ``losses.loss``.

No candidate donates its arguments, which every call gets again; none would gain much, as the
parameters are 4 MB. Before anything is timed, losses and gradients are compared.

  python benchmarks/atari_learner.py                   # about 5 minutes on two cores
  python benchmarks/atari_learner.py --batch 8 --bfloat16
  python benchmarks/harness.py atari_learner           # the table of all committed rows
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import harness
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.rollout import Sequences
from jaxrl_suite.nets.actor_critic import ActorCritic, NetworkConfig
from jaxrl_suite.ops import popart
from jaxrl_suite.systems.impala import losses
from jaxrl_suite.systems.impala.config import Hyper

UNIT = "environment frames"
PyTree = Any
# (params, batch) -> loss []
Loss = Callable[[PyTree, Sequences], jax.Array]

HYPER = Hyper()


class _Block(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.Conv(self.features, (3, 3), name="Conv3x3_0")(nn.relu(x))
        return x + nn.Conv(self.features, (3, 3), name="Conv3x3_1")(nn.relu(y))


class _Torso(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for section, features in enumerate((16, 32, 32)):
            x = nn.Conv(features, (3, 3), name=f"Conv3x3_{section}")(x)
            x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
            for block in (2 * section, 2 * section + 1):
                x = _Block(features, name=f"ResidualBlock_{block}")(x)
        return nn.relu(x).reshape(x.shape[0], -1)


class PeerNetwork(nn.Module):
    """IMPALA's residual network in plain flax; its parameters have the suite's names."""

    num_actions: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """uint8 [N, 84, 84, 4] -> logits [N, A], values [N]."""
        x = _Torso(name="torso")(x / 255.0)
        x = nn.relu(nn.Dense(256, name="dense")(x))
        logits = nn.Dense(self.num_actions, name="policy")(x)
        return logits, nn.Dense(1, name="value")(x)[:, 0]


def peer_vtrace(
    log_ratio: jax.Array, values: jax.Array, reward: jax.Array, discount: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Targets and advantages of one column: [T], [T+1], [T], [T] -> [T], [T]."""
    ratio = jnp.minimum(1.0, jnp.exp(log_ratio))
    delta = ratio * (reward + discount * values[1:] - values[:-1])

    def back(later: jax.Array, now: tuple) -> tuple[jax.Array, jax.Array]:
        delta, discount, ratio = now
        later = delta + discount * ratio * later
        return later, later

    _, errors = jax.lax.scan(back, jnp.zeros(()), (delta, discount, ratio), reverse=True)
    targets = errors + values[:-1]
    following = jnp.append(targets[1:], values[-1])
    return targets, ratio * (reward + discount * following - values[:-1])


def peer_loss(num_actions: int, folded: bool) -> Loss:
    """The peer's loss; `folded` makes one axis of time and batch instead of a vmap over time."""
    network = PeerNetwork(num_actions)

    def forward(params: PyTree, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        if not folded:
            return jax.vmap(network.apply, in_axes=(None, 0))(params, observation)
        logits, values = network.apply(params, observation.reshape(-1, *observation.shape[2:]))
        shape = observation.shape[:2]
        return logits.reshape(*shape, -1), values.reshape(shape)

    def loss(params: PyTree, batch: Sequences) -> jax.Array:
        logits, values = forward(params, batch.observation)
        log_policy = jax.nn.log_softmax(logits[:-1])
        chosen = jnp.take_along_axis(log_policy, batch.action[..., None], axis=-1)[..., 0]
        reward = jnp.clip(batch.reward, -1.0, 1.0)
        columns = (chosen - batch.behaviour_log_prob, values, reward)
        discount = HYPER.gamma * (1.0 - batch.terminated)
        traced = jax.vmap(peer_vtrace, in_axes=1, out_axes=1)(*columns, discount)
        targets, advantages = jax.lax.stop_gradient(traced)
        policy_loss = -jnp.sum(chosen * advantages)
        value_loss = 0.5 * jnp.sum((targets - values[:-1]) ** 2)
        entropy = -jnp.sum(jnp.exp(log_policy) * log_policy)
        return policy_loss + HYPER.baseline_cost * value_loss - HYPER.entropy_cost * entropy

    return loss


def suite_loss(num_actions: int, bfloat16: bool) -> Loss:
    """The suite's own loss."""
    network = ActorCritic(NetworkConfig(bfloat16=bfloat16), num_actions)

    def loss(params: PyTree, batch: Sequences) -> jax.Array:
        # Acted by older parameters, or the behaviour's log-probabilities would not count.
        on_policy = jnp.zeros(batch.version.shape, bool)
        moments = popart.init(1)
        return losses.loss(params, network, batch, on_policy, moments, HYPER, "vtrace")[0]

    return loss


def make_update(loss: Loss) -> tuple[Callable, optax.GradientTransformation]:
    """(params, optimiser state, batch) -> the next two and the loss; and its optimiser."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(HYPER.max_grad_norm),
        optax.scale_by_rms(HYPER.rms_decay, HYPER.rms_epsilon, eps_in_sqrt=False),
        optax.scale_by_learning_rate(HYPER.learning_rate),
    )

    def update(params: PyTree, state: PyTree, batch: Sequences) -> tuple:
        value, grads = jax.value_and_grad(loss)(params, batch)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    return update, optimizer


class Problem(NamedTuple):
    """Parameters and batch that all candidates share, and their losses by name."""

    params: PyTree
    batch: Sequences
    losses: dict[str, Loss]


def make_batch(time: int, columns: int, side: int, num_actions: int) -> Sequences:
    """Random arrays; the images are of flat tiles, as screens are, so that pooling meets ties."""
    generator = np.random.default_rng(0)
    tiles = generator.integers(0, 256, (time + 1, columns, side // 6, side // 6, 4), np.uint8)
    first = generator.random((time + 1, columns)) < 0.02
    return Sequences(
        observation=jnp.asarray(tiles.repeat(6, axis=2).repeat(6, axis=3)),
        first=jnp.asarray(first),
        last_action=jnp.zeros((time + 1, columns), jnp.int32),
        last_reward=jnp.zeros((time + 1, columns)),
        action=jnp.asarray(generator.integers(0, num_actions, (time, columns)), jnp.int32),
        behaviour_log_prob=jnp.asarray(
            generator.uniform(-1.2, -0.8, (time, columns)) * np.log(num_actions), jnp.float32
        ),
        reward=jnp.asarray(generator.integers(-1, 2, (time, columns)), jnp.float32),
        terminated=jnp.asarray(first[1:]),
        valid=jnp.ones((time, columns), bool),
        carry=(),
        task_index=jnp.zeros(columns, jnp.int32),
        version=jnp.zeros(columns, jnp.int32),
        last_return=jnp.zeros(columns),
    )


def problem(args: argparse.Namespace) -> Problem:
    """Everything of the sizes of the command line."""
    side, actions = (24 if args.smoke else 84), args.actions
    batch = make_batch(args.unroll, args.batch, side, actions)
    params = jax.jit(PeerNetwork(actions).init)(jax.random.key(0), batch.observation[0])
    named = {
        "suite": suite_loss(actions, False),
        "plainly folded": peer_loss(actions, folded=True),
        "peer": peer_loss(actions, folded=False),
    }
    if args.bfloat16:
        named = {"suite bfloat16": suite_loss(actions, True), **named}
    return Problem(params, batch, named)


class Agreement(NamedTuple):
    """Relative differences to the peer: of the loss, and of the gradient in the Euclidean norm."""

    loss: float
    gradient: float


def agreement(shared: Problem) -> dict[str, Agreement]:
    """How far every candidate is from the peer."""
    found = {
        name: jax.jit(jax.value_and_grad(loss))(shared.params, shared.batch)
        for name, loss in shared.losses.items()
    }
    value, grads = found.pop("peer")
    norm = optax.tree.norm(grads)

    def gap(other: PyTree) -> float:
        return float(optax.tree.norm(jax.tree.map(jnp.subtract, other, grads)) / norm)

    return {
        name: Agreement(abs(float(own - value)) / abs(float(value)), gap(own_grads))
        for name, (own, own_grads) in found.items()
    }


def checked(shared: Problem) -> dict[str, str]:
    """The agreement as settings of the rows.

    Raises:
      UsageError: a float32 loss is more than 1e-4 from the peer's: they do different work.
    """
    told = {}
    for name, gaps in agreement(shared).items():
        if "bfloat16" not in name and not gaps.loss < 1e-4:
            raise UsageError(f"the loss of {name!r} is {gaps.loss:.1e} from the peer's")
        told[f"{name} off by"] = f"{gaps.loss:.0e} (gradient {gaps.gradient:.0e})"
    return told


def candidates(shared: Problem) -> dict[str, dict[str, harness.Candidate]]:
    """The whole update, and the loss without its gradient."""
    steps, columns = shared.batch.action.shape
    work = steps * columns
    updates, forwards = {}, {}
    for name, loss in shared.losses.items():
        update, optimizer = make_update(loss)
        args = (shared.params, optimizer.init(shared.params), shared.batch)
        updates[name] = harness.Candidate(jax.jit(update), args, work)
        forwards[name] = harness.Candidate(jax.jit(loss), (shared.params, shared.batch), work)
    return {"update": updates, "loss alone": forwards}


def main() -> None:
    """Reads the command line, checks the agreement and times."""
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32, help="B, columns of the batch")
    parser.add_argument("--unroll", type=int, default=20, help="T, steps of a column")
    parser.add_argument("--actions", type=int, default=18)
    parser.add_argument("--bfloat16", action="store_true", help="time the suite in it as well")
    parser.add_argument("--only", nargs="+", choices=("update", "loss alone"), default=None)
    args = parser.parse_args()
    if args.smoke:
        args.batch, args.unroll, args.repeats = 2, 3, harness.MIN_REPEATS
    facts = harness.machine()
    shared = problem(args)
    told = checked(shared)
    for what, group in candidates(shared).items():
        if args.only is None or what in args.only:
            harness.report(
                "atari_learner",
                harness.compare(group, unit=UNIT, repeats=args.repeats),
                settings={"timed": what, "B": args.batch, "T": args.unroll, **told},
                facts=facts,
                baseline="peer",
                smoke=args.smoke,
            )


if __name__ == "__main__":
    main()
