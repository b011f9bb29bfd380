"""IMPALA on Atari: emulators on the host, by actor threads or inside the compiled program."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from jaxrl_suite.core import (
    DATA_AXIS,
    HostSystem,
    Learner,
    Metrics,
    Source,
    System,
    SystemState,
    fuse,
    strongly_typed,
)
from jaxrl_suite.envs import atari, rollout
from jaxrl_suite.envs.atari.actor import Act, Actor
from jaxrl_suite.envs.atari.pools import PoolStep
from jaxrl_suite.envs.atari.scan import scan_rollout
from jaxrl_suite.nets.actor_critic import Carry
from jaxrl_suite.systems.impala import build
from jaxrl_suite.systems.impala.config import Config, Hyper

# Seeds of the emulators begin with what they are for, lest evaluation replay the training.
_TRAINING, _EVALUATION = 0, 1


def pools(
    config: Config,
    variants: Sequence[str],
    envs_per_variant: int,
    seed: Sequence[int],
    *,
    colour: bool = False,
) -> atari.Pools:
    """The emulators of a configuration, with other variants or another number of them."""
    return atari.Pools(
        atari.make(config.game),
        variants,
        envs_per_variant,
        time_limit=config.time_limit,
        sticky=config.sticky,
        seed=seed,
        emulator=config.emulator,
        colour=colour,
    )


def acting(policy: rollout.Policy) -> Act:
    """A policy as actors use it: compiled, for frames as EnvPool gives them."""

    @jax.jit
    def act(
        params: dict, inputs: rollout.PolicyInputs, carry: Carry, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, Carry, jax.Array]:
        key, policy_key = jax.random.split(key)
        return *policy(params, inputs, carry, policy_key), key

    return act


def actors(config: Config, act: Act, seed: int, num_updates: int) -> list[Actor]:
    """The actors of a run, each with its share of every variant's emulators.

    Args:
      config: of the run.
      act: see :func:`acting`.
      seed: of the run.
      num_updates: made so far: a run that goes on does not play its first games again.
    """
    network, names = build.network(config), config.variants
    share = config.num_envs // config.actors.count
    key = jax.random.fold_in(jax.random.key(seed), num_updates)
    return [
        Actor(
            pools(config, names, share // len(names), (seed, _TRAINING, num_updates, number)),
            act,
            network.initial_carry(share),
            actor_key,
            unroll_length=config.unroll_length,
            task_index=np.arange(share, dtype=np.int32) % len(names),
        )
        for number, actor_key in enumerate(jax.random.split(key, config.actors.count))
    ]


def host_system(config: Config, hyper: Hyper, learner: Learner, seed: int) -> HostSystem:
    """Actors on threads that feed the learner; see :class:`ActorsConfig`."""
    act = acting(build.policy(build.network(config)))

    def init(key: jax.Array, hyper: Hyper = hyper) -> SystemState:
        key, learner_key = jax.random.split(key)
        fresh = learner.init(learner_key, hyper)
        return strongly_typed(SystemState(fresh, (), key, jnp.zeros((), jnp.int32)))

    def learn(
        state: SystemState, unrolls: tuple[rollout.Sequences, ...]
    ) -> tuple[SystemState, Metrics]:
        batch = rollout.concatenate(list(unrolls))
        learner_state, metrics = learner.update(state.learner, batch)
        return state._replace(learner=learner_state, num_updates=state.num_updates + 1), metrics

    # Axis B, wherever it is, is split over the devices.
    time_major, batch_major = PartitionSpec(None, DATA_AXIS), PartitionSpec(DATA_AXIS)
    batch_axis = rollout.BATCH_AXIS
    return HostSystem(
        init=init,
        learn=learn,
        actors=lambda num_updates: actors(config, act, seed, num_updates),
        evaluate=lambda state, key: evaluate(config, config.variants, state.learner.params, key),
        frames_per_update=config.frames_per_update,
        spec=PartitionSpec(),
        batch_spec=rollout.Sequences(*[time_major if a else batch_major for a in batch_axis]),
        queue=config.actors.queue,
    )


def scan_source(config: Config, seed: int) -> Source:
    """Emulators stepped inside the program, optionally lagged and replayed."""
    network, names = build.network(config), config.variants
    source = scan_rollout(
        lambda: pools(config, names, config.num_envs // len(names), (seed, _TRAINING, 0, 0)),
        len(names),
        build.policy(network),
        network.initial_carry(config.num_envs),
        batch_size=config.num_envs,
        unroll_length=config.unroll_length,
    )
    return build.lagged(config, source)


def scan_system(config: Config, hyper: Hyper, learner: Learner, seed: int) -> System:
    """The closed loop with the emulators inside the program."""
    system = fuse(
        learner,
        scan_source(config, seed),
        hyper=hyper,
        evaluate=lambda state, key: evaluate(config, config.variants, state.learner.params, key),
        frames_per_update=config.frames_per_update,
    )
    return system._replace(evaluates_on_host=True)


def evaluate(config: Config, variants: Sequence[str], params: dict, key: jax.Array) -> Metrics:
    """As :func:`jaxrl_suite.systems.impala.evaluate.evaluate_policy`, on the host."""
    network = build.network(config)
    carry = network.initial_carry(len(variants) * config.eval_episodes)
    return play(config, variants, acting(build.policy(network)), params, carry, key)


def evaluate_random(config: Config, variants: Sequence[str], key: jax.Array) -> Metrics:
    """As :func:`jaxrl_suite.systems.impala.evaluate.evaluate_random`, on the host."""
    act = acting(build.random_policy(config.num_actions))
    return play(config, variants, act, {}, (), key)


def play(
    config: Config,
    variants: Sequence[str],
    act: Act,
    params: dict,
    carry: Carry,
    key: jax.Array,
) -> Metrics:
    """Plays `config.eval_episodes` first episodes of every variant, side by side.

    Returns:
      As :func:`jaxrl_suite.systems.impala.evaluate.play`, in NumPy; lengths count steps.
    """
    num_variants, episodes = len(variants), config.eval_episodes
    emulators = pools(config, variants, episodes, _evaluation_seed(key))
    player = Actor(
        emulators,
        act,
        carry,
        key,
        unroll_length=1,
        task_index=np.arange(num_variants * episodes, dtype=np.int32) % num_variants,
    )
    returns = np.full(num_variants * episodes, np.nan, np.float32)
    lengths = np.zeros(num_variants * episodes, np.int32)
    try:
        while np.isnan(returns).any():
            player.unroll(params, 0)
            first_end = np.isnan(returns)
            returns = np.where(first_end, player.books.last_return, returns)
            lengths = np.where(first_end, player.books.last_length, lengths)
    finally:
        player.close()
    by_variant = np.asarray(rollout.split_axis(returns, 0, num_variants))
    return {
        "return": returns.mean(),
        "return_per_variant": by_variant.mean(axis=1),
        "episode_returns": by_variant,
        "episode_length": lengths.mean(dtype=np.float32),
    }


def record(
    config: Config, variants: Sequence[str], params: dict, key: jax.Array, *, num_steps: int
) -> np.ndarray:
    """Films the policy, an emulator a variant.

    A second emulator with the same seed is given the same actions and shows the whole screen in
    colour; it plays the same game.

    Returns:
      uint8 [N, num_steps, 210, 160, 3].
    """
    network, seed = build.network(config), _evaluation_seed(key)
    film = _Filmed(*(pools(config, variants, 1, seed, colour=colour) for colour in (False, True)))
    player = Actor(
        film,
        acting(build.policy(network)),
        network.initial_carry(len(variants)),
        key,
        unroll_length=num_steps,
        task_index=np.arange(len(variants), dtype=np.int32),
    )
    try:
        player.unroll(params, 0)
    finally:
        player.close()
    return np.stack(film.pictures, 1).transpose(0, 1, 3, 4, 2)


class _Filmed:
    """Emulators, and their twins that show what they see in colour.

    pictures: uint8 [B, 3, 210, 160], one a step.
    """

    def __init__(self, seeing: atari.Pools, showing: atari.Pools):
        self._seeing, self._showing = seeing, showing
        self.batch_size, self.observation_shape = seeing.batch_size, seeing.observation_shape
        self.pictures: list[np.ndarray] = []

    def send(self, action: np.ndarray) -> None:
        """To both."""
        self._seeing.send(action)
        self._showing.send(action)

    def recv(self, out: np.ndarray | None = None) -> PoolStep:
        """The answer of those that see."""
        self.pictures.append(self._showing.recv().observation)
        return self._seeing.recv(out)

    def close(self) -> None:
        """Ends both."""
        self._seeing.close()
        self._showing.close()


def _evaluation_seed(key: jax.Array) -> tuple[int, ...]:
    return (_EVALUATION, *np.asarray(jax.random.key_data(key)).tolist())
