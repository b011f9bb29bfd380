"""Frames a second of Atari: the emulators alone, and what each way to use them leaves of that.

One run compares, by turns (see ``harness.py``):

pools alone: random actions, every pool sent before any is waited for. What the machine can play.
jitted scan: a policy and the pools in one compiled scan; nothing learns.
actor threads: the same policy on actor threads; the sequences are thrown away.
scan, learning: the whole closed loop in one program.
threads, learning: actors, queue and learner, the whole pipeline; its queue and lag metrics are in
  the row's settings.

The network is tiny, for the question is what the plumbing costs; what remains of it, reading the
screens, is in the numbers. ``--network quick`` takes the preset's instead. A frame is an
emulated one, 4 to a step.

  python benchmarks/atari.py                    # about 4 minutes on two cores
  python benchmarks/atari_learner.py            # the learner alone, against its peer
  python benchmarks/harness.py atari            # the table of all committed rows
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import harness
import jax
import numpy as np

from jaxrl_suite.core import SystemState, train
from jaxrl_suite.envs.atari import SKIPPED_FRAMES
from jaxrl_suite.nets.actor_critic import NetworkConfig
from jaxrl_suite.runtime.chunk import Fed
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala import build, emulated
from jaxrl_suite.systems.impala.config import Config

UNIT = "environment frames"
NETWORKS = {
    # One feature, then two: reading the screens is nearly all that it costs.
    "tiny": NetworkConfig(torso="shallow", width=1 / 16),
    "quick": impala.PRESETS["atari_quick"].config.network,
}
# Updates that are made, untimed, before the pipeline's are timed: those that were waiting.
HEAD_START = 4
# s, untimed, in which actors of the pipeline come to rest at their full queue.
REST = 2.0


def pools_alone(config: Config, num_steps: int) -> Callable[[], None]:
    """Plays random actions, drawn beforehand."""
    pools = emulated.pools(config, config.variants, config.num_envs // len(config.variants), (0,))
    shape = (num_steps, config.num_envs)
    actions = np.random.default_rng(0).integers(0, config.num_actions, shape, np.int32)
    out = np.zeros((config.num_envs, *pools.observation_shape), np.uint8)

    def play() -> None:
        for action in actions:
            pools.send(action)
            pools.recv(out=out)

    return play


def in_turns(step: Callable[[Any], Any], state: Any) -> Callable[[], Any]:
    """A function without arguments that goes on where its last call ended."""

    def call() -> Any:
        nonlocal state
        state, output = step(state)
        return output

    return call


def scanned(config: Config, num_updates: int) -> Callable[[], Any]:
    """The policy and the pools in one program."""
    source = emulated.scan_source(config, 1)
    params = initial(config).learner.params

    def step(state: Any) -> Any:
        def sample(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            state, batch = source.sample(state, params, key)
            return state, batch.reward.sum()

        return jax.lax.scan(sample, state, jax.random.split(jax.random.key(0), num_updates))

    state = jax.jit(source.init)(jax.random.key(0), impala.Hyper(), params)
    return in_turns(jax.jit(step), state)


def initial(config: Config) -> SystemState:
    """A fresh state."""
    return jax.jit(impala.make(config, impala.Hyper()).init)(jax.random.key(0))


def scan_learning(config: Config, num_updates: int) -> Callable[[], Any]:
    """The closed loop in one program."""
    scan = dataclasses.replace(config.actors, runner="scan")
    config = dataclasses.replace(config, actors=scan)
    system = impala.make(config, impala.Hyper(), 2)
    step = jax.jit(train(system, num_updates))
    return in_turns(step, jax.jit(system.init)(jax.random.key(0)))


def threads_acting(config: Config, num_unrolls: int) -> Callable[[], None]:
    """Actors on threads; what they play is thrown away."""
    from concurrent.futures import ThreadPoolExecutor

    params = initial(config).learner.params
    act = emulated.acting(build.policy(build.network(config)))
    actors = emulated.actors(config, act, 3, 0)
    threads = ThreadPoolExecutor(len(actors))

    def play(actor: Any) -> None:
        for _ in range(num_unrolls):
            actor.unroll(params, 0)

    return lambda: list(threads.map(play, actors))


class Pipeline:
    """Actors, queue and learner; a call makes so many updates."""

    def __init__(self, config: Config, num_updates: int):
        self._num_updates = num_updates
        system = impala.make(config, impala.Hyper(), 4)
        state = jax.jit(system.init)(jax.random.key(0))
        compile_ = lambda _, function, *args: function.lower(*args).compile()  # noqa: E731
        self._driver = Fed(system, None, compile_)
        self._state = self._driver.start(state)
        self.metrics: list[dict[str, Any]] = []

    def head_start(self) -> None:
        """Uses up what was waiting, so that what is timed must be played."""
        self._advance(HEAD_START)
        self._driver.host_metrics()

    def __call__(self) -> None:
        """Makes the timed updates."""
        result = self._advance(self._num_updates)
        self.metrics.append(jax.device_get(result.mean) | self._driver.host_metrics())

    def _advance(self, num_updates: int) -> Any:
        self._state, result = self._driver.advance(self._state, num_updates)
        return jax.block_until_ready(result)

    def close(self) -> None:
        """Ends the actors."""
        self._driver.close()


def run(args: argparse.Namespace) -> None:
    """One comparison."""
    facts = harness.machine()
    config = dataclasses.replace(
        impala.PRESETS["atari_quick"].config,
        network=NETWORKS[args.network],
        num_variants=args.variants,
        num_envs=args.envs,
    )
    updates = args.updates
    work = updates * config.frames_per_update
    num_steps = work // SKIPPED_FRAMES // config.num_envs
    pipeline = Pipeline(config, updates)
    rest = lambda: time.sleep(REST)  # noqa: E731
    makers = {
        "pools alone": lambda: pools_alone(config, num_steps),
        "jitted scan": lambda: scanned(config, updates),
        "actor threads": lambda: threads_acting(config, updates),
        "scan, learning": lambda: scan_learning(config, updates),
    }
    candidates = {name: harness.Candidate(make(), (), work, rest) for name, make in makers.items()}
    candidates["threads, learning"] = harness.Candidate(pipeline, (), work, pipeline.head_start)
    results = harness.compare(candidates, unit=UNIT, repeats=args.repeats)
    pipeline.close()
    settings = {
        "game": config.game,
        "variants": args.variants,
        "envs": args.envs,
        "unroll": config.unroll_length,
        "network": args.network,
    }
    names = ("lag_mean", "lag_max", "queue_length", "learner_waiting", "actors_waiting")
    for name in names:  # of the timed calls; the first was the warm-up
        settings[name] = round(float(np.mean([m[name] for m in pipeline.metrics[1:]])), 3)
    harness.report(
        "atari", results, settings=settings, facts=facts, baseline="pools alone", smoke=args.smoke
    )


def main() -> None:
    """Reads the command line."""
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--envs", type=int, default=64, help="emulators in all")
    parser.add_argument("--variants", type=int, default=4, help="variants, a pool each")
    parser.add_argument("--updates", type=int, default=12, help="updates a call")
    parser.add_argument("--network", choices=NETWORKS, default="tiny", help="what acts and learns")
    args = parser.parse_args()
    if args.smoke:
        args.envs, args.variants, args.updates, args.repeats = 4, 2, 2, harness.MIN_REPEATS
    run(args)


if __name__ == "__main__":
    main()
