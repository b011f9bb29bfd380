"""Training speed of IMPALA: vmapped seeds, one compiled loop against a Python loop, and its parts.

Three comparisons at one size (the quick preset's unless told otherwise), see ``README.md``:

seeds: `seeds` runs as one vmapped program, against the compiled program of a single run called
  once a seed by a Python loop.
loop: `updates` iterations as one compiled program, against the same parts jitted one by one
  (policy, environments, learner) and driven step by step by a Python loop.
parts: the iteration beside its parts, each in a loop of its own: the environments under random
  actions, the environments under the policy, the learner on recorded batches.

  python benchmarks/impala_train.py             # about 5 minutes on two cores
  python benchmarks/impala_train.py --preset gpu --updates 50
  python benchmarks/harness.py impala_train     # the table of all committed rows
"""

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import harness
import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics, Preset, SystemState, train
from jaxrl_suite.envs import arcade, rollout
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala import build
from jaxrl_suite.systems.impala.config import Config

UNIT = "environment frames"
PyTree = Any


def seeds(preset: Preset, num_seeds: int) -> dict[str, harness.Candidate]:
    """All seeds in one program, against one program a seed."""
    system, num_updates = impala.make(preset.config, preset.hyper), preset.num_updates
    states = jax.jit(jax.vmap(system.init))(jax.random.split(jax.random.key(0), num_seeds))
    separate = [jax.tree.map(lambda x, i=i: x[i], states) for i in range(num_seeds)]
    run = train(system, num_updates)
    single = jax.jit(run)

    def one_by_one(states: list[SystemState]) -> list:
        return [single(state) for state in states]

    work = num_seeds * num_updates * system.frames_per_update
    return {
        f"vmap over {num_seeds} seeds": harness.Candidate(jax.jit(jax.vmap(run)), (states,), work),
        f"loop over {num_seeds} seeds": harness.Candidate(one_by_one, (separate,), work),
    }


def python_trainer(
    config: Config, num_updates: int
) -> Callable[[SystemState], tuple[PyTree, Metrics]]:
    """The trainer as it is usually written: a Python loop around three jitted functions.

    The parts are the compiled trainer's own, and so are the random keys: same actions, same
    frames, same updates. The peer is a good one: everything stays on the device, nothing is
    waited for before the end, and the learner's program stacks the steps itself.

    Args:
      config: without replay.
      num_updates: iterations of a call.

    Returns:
      ``SystemState -> (LearnerState, Metrics of the last update)``.
    """
    environment, policy = build.environment(config), build.policy(build.network(config))
    learner = impala.impala_learner(config)

    @jax.jit
    def act(params: PyTree, inputs: rollout.PolicyInputs, carry: PyTree, key: jax.Array) -> tuple:
        return policy(params, inputs, carry, jax.random.split(key)[0])

    @jax.jit
    def step(state: rollout.RolloutState, chosen: tuple, key: jax.Array) -> tuple:
        # The suite's own step, told what was chosen.
        return rollout.advance(environment, lambda *_: chosen, None, state, key)

    @jax.jit
    def learn(
        state: PyTree,
        seen: list[rollout.PolicyInputs],
        records: list[dict],
        carry: PyTree,
        end: rollout.RolloutState,
    ) -> tuple[PyTree, Metrics]:
        stack = lambda *rows: jnp.stack(rows)  # noqa: E731
        batch = rollout.Sequences(
            **jax.tree.map(stack, *seen)._asdict(),
            **jax.tree.map(stack, *records),
            carry=carry,
            task_index=end.task_index,
            version=jnp.full_like(end.task_index, state.num_updates),
            last_return=end.episodes.last_return,
        )
        return learner.update(state, batch)

    @jax.jit
    def next_keys(key: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        key, sample_key = jax.random.split(key)
        return key, list(jax.random.split(sample_key, config.unroll_length))

    def run(state: SystemState) -> tuple[PyTree, Metrics]:
        # Of the source's state the environments; what lets the actor lag is not needed here.
        learner_state, envs, key = state.learner, state.source.source, state.key
        for _ in range(num_updates):
            key, step_keys = next_keys(key)
            seen, records, carry = [envs.inputs], [], envs.carry
            for step_key in step_keys:
                chosen = act(learner_state.params, envs.inputs, envs.carry, step_key)
                envs, record = step(envs, chosen, step_key)
                seen.append(envs.inputs)
                records.append(record)
            learner_state, metrics = learn(learner_state, seen, records, carry, envs)
        return learner_state, metrics

    return run


def loop(preset: Preset) -> dict[str, harness.Candidate]:
    """One compiled program, against a Python loop around its parts."""
    system, num_updates = impala.make(preset.config, preset.hyper), preset.num_updates
    state = jax.jit(system.init)(jax.random.key(0))
    work = num_updates * system.frames_per_update
    by_hand = python_trainer(preset.config, num_updates)
    return {
        "compiled loop": harness.Candidate(jax.jit(train(system, num_updates)), (state,), work),
        "Python loop": harness.Candidate(by_hand, (state,), work),
    }


def difference(config: Config, num_updates: int = 3) -> float:
    """How far the parameters of the two trainers of :func:`loop` lie apart after some updates.

    Returns:
      The largest absolute difference of a parameter, as a share of the largest change that
      training made to one. Rounding only: the compiler arranges the sums of the two differently.
    """
    system = impala.make(config, impala.PRESETS["quick"].hyper)
    state = jax.jit(system.init)(jax.random.key(0))
    compiled = jax.jit(train(system, num_updates))(state)[0].learner.params
    by_hand = python_trainer(config, num_updates)(state)[0].params

    def largest(x: PyTree, y: PyTree) -> float:
        gaps = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), x, y)
        return max(float(gap) for gap in jax.tree.leaves(gaps))

    return largest(compiled, by_hand) / largest(compiled, state.learner.params)


def parts(preset: Preset) -> dict[str, harness.Candidate]:
    """The whole iteration, and what it is made of, as far as its parts can stand alone."""
    config, num_updates = preset.config, preset.num_updates
    system = impala.make(config, preset.hyper)
    state = jax.jit(system.init)(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), num_updates)
    source, learner = impala.impala_source(config), impala.impala_learner(config)
    environments = random_source(config)
    work = num_updates * system.frames_per_update

    def sample(with_batches: bool, source: Any) -> Callable:
        def run(state: PyTree, params: PyTree, keys: jax.Array) -> tuple[PyTree, PyTree]:
            def body(state: PyTree, key: jax.Array) -> tuple[PyTree, PyTree]:
                state, batch = source.sample(state, params, key)
                # A sum of every field: the compiler may leave out what nobody reads.
                sums = lambda x: jnp.sum(x, dtype=jnp.float32)  # noqa: E731
                return state, batch if with_batches else jax.tree.map(sums, batch)

            return jax.lax.scan(body, state, keys)

        return jax.jit(run)

    def learn(state: PyTree, batches: rollout.Sequences) -> tuple[PyTree, Metrics]:
        return jax.lax.scan(learner.update, state, batches)

    params = state.learner.params
    # A batch of its own for every update: of one batch the compiler could prepare something once.
    batches = sample(True, source)(state.source, params, keys)[1]
    numbered = jnp.arange(num_updates, dtype=jnp.int32)[:, None]
    batches = batches._replace(version=jnp.zeros_like(batches.version) + numbered)
    random_args = (state.source.source, params, keys)
    return {
        "iteration": harness.Candidate(jax.jit(train(system, num_updates)), (state,), work),
        "environments, random actions": harness.Candidate(
            sample(False, environments), random_args, work
        ),
        "environments and acting": harness.Candidate(
            sample(False, source), (state.source, params, keys), work
        ),
        "learning": harness.Candidate(jax.jit(learn), (state.learner, batches), work),
    }


def random_source(config: Config) -> rollout.Source:
    """The rollout of :func:`impala.impala_source` without a network: random actions."""
    environment = build.environment(config)
    network = build.network(config)

    def policy(
        params: PyTree, inputs: rollout.PolicyInputs, carry: PyTree, key: jax.Array
    ) -> tuple:
        del params
        shape = inputs.first.shape
        actions = jax.random.randint(key, shape, 0, environment.num_actions)
        return actions, jnp.full(shape, -jnp.log(environment.num_actions)), carry

    return rollout.rollout(
        environment,
        arcade.stack_variants(arcade.make(config.game), config.variants),
        policy,
        network.initial_carry(config.num_envs),
        batch_size=config.num_envs,
        unroll_length=config.unroll_length,
    )


def sized(args: argparse.Namespace) -> Preset:
    """The preset with the sizes of the command line."""
    preset = impala.PRESETS[args.preset]
    changes = {"game": args.game, "num_envs": args.envs, "unroll_length": args.unroll}
    changes = {name: value for name, value in changes.items() if value is not None}
    if args.smoke:
        changes |= {"num_variants": 2, "num_envs": 2, "unroll_length": 3}
        args.updates, args.seeds, args.repeats = 2, 2, harness.MIN_REPEATS
    config = dataclasses.replace(preset.config, **changes)
    # The Python trainer acts with what it has just learned; so must the compiled one.
    hyper = preset.hyper._replace(actor_hold=0)
    return preset._replace(config=config, hyper=hyper, num_updates=args.updates)


def main() -> None:
    """Reads the command line and makes the three comparisons."""
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=impala.PRESETS, default="quick")
    parser.add_argument("--game", choices=arcade.GAMES, default=None, help="default: the preset's")
    parser.add_argument("--envs", type=int, default=None, help="default: the preset's")
    parser.add_argument("--unroll", type=int, default=None, help="default: the preset's")
    parser.add_argument("--updates", type=int, default=20, help="iterations a call")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--only", nargs="+", choices=("seeds", "loop", "parts"), default=None)
    args = parser.parse_args()
    preset = sized(args)
    config = preset.config
    comparisons = {
        "seeds": lambda: seeds(preset, args.seeds),
        "loop": lambda: loop(preset),
        "parts": lambda: parts(preset),
    }
    for name in args.only or comparisons:
        facts = harness.machine()
        if name == "loop":
            small = dataclasses.replace(config, num_envs=len(config.variants), unroll_length=4)
            print(f"the two trainers' parameters differ by {difference(small):.1e} of their change")
        candidates = comparisons[name]()
        harness.report(
            "impala_train",
            harness.compare(candidates, unit=UNIT, repeats=args.repeats),
            settings={
                "comparison": name,
                "preset": args.preset,
                "game": config.game,
                "variants": len(config.variants),
                "B": config.num_envs,
                "T": config.unroll_length,
                "updates": args.updates,
            },
            facts=facts,
            # The last is the peer; among the parts it is the whole that the others are part of.
            baseline=list(candidates)[0 if name == "parts" else -1],
            smoke=args.smoke,
        )


if __name__ == "__main__":
    main()
