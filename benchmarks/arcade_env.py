"""Environment speed: one program over all variants of a game, against gymnax's single variant.

Both sides run the same loop: N environments, the same number of scan steps, random actions
drawn in the loop by the same code, automatic reset, and every observation and reward added to
a sum that the program returns, so that nothing can be left out. Ours is
``episodic(game.environment)`` with variant i % V in environment i; gymnax is its own ``step``,
vmapped. States are made beforehand. Each game and N has a process of its own, bounded in time,
in which the two take turns (see ``harness.compare``).

A step of work is a transition of the game. Our wrapper spends one step of the loop on every
reset (it keeps terminal observations); gymnax resets within the step. Those steps of ours are
counted by the program and taken off, so they cost us and do not count.

  pip install -r benchmarks/requirements.txt
  python benchmarks/arcade_env.py            # about 10 minutes on two cores
  python benchmarks/harness.py arcade_env    # the table of all committed rows
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import harness
import jax
import jax.numpy as jnp

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import arcade
from jaxrl_suite.envs.base import episodic

PEERS = {
    "breakout": "Breakout-MinAtar",
    "asterix": "Asterix-MinAtar",
    "freeway": "Freeway-MinAtar",
    "space_invaders": "SpaceInvaders-MinAtar",
}
UNIT = "environment steps"
TIME_LIMIT = 1000  # steps; the peer's own, for when it is not there to be asked

# (state, keys [N], actions [N]) -> (state, observation, reward [N], played bool [N])
Step = Callable[[Any, jax.Array, jax.Array], tuple[Any, jax.Array, jax.Array, jax.Array]]


def candidate(step: Step, state: Any, num_actions: int, num_steps: int) -> harness.Candidate:
    """The loop that both sides run; `state` has a leading axis [N]."""
    num_envs = len(jax.tree.leaves(state)[0])

    def body(carry: tuple, key: jax.Array) -> tuple[tuple, None]:
        state, seen, rewards, transitions = carry
        action_key, step_key = jax.random.split(key)
        actions = jax.random.randint(action_key, (num_envs,), 0, num_actions)
        keys = jax.random.split(step_key, num_envs)
        state, observation, reward, played = step(state, keys, actions)
        seen += jnp.sum(observation, dtype=jnp.float32)
        rewards += jnp.sum(reward)
        transitions += jnp.sum(played, dtype=jnp.int32)
        return (state, seen, rewards, transitions), None

    @jax.jit
    def run(state: Any, key: jax.Array) -> tuple:
        carry = (state, jnp.zeros(()), jnp.zeros(()), jnp.zeros((), jnp.int32))
        return jax.lax.scan(body, carry, jax.random.split(key, num_steps))[0]

    return harness.Candidate(run, (state, jax.random.key(1)), lambda output: float(output[3]))


def ours(name: str, num_envs: int, num_steps: int, time_limit: int) -> harness.Candidate:
    """All variants of our game side by side."""
    game = arcade.make(name)
    names = list(game.variants)
    variants = arcade.stack_variants(game, [names[i % len(names)] for i in range(num_envs)])
    environment = episodic(game.environment, time_limit=time_limit)
    state, _ = jax.jit(jax.vmap(environment.reset))(
        jax.random.split(jax.random.key(0), num_envs), variants
    )

    def step(state: Any, keys: jax.Array, actions: jax.Array) -> tuple:
        played = ~state[0].ended
        moved, timestep = jax.vmap(environment.step)(state[0], actions, keys, state[1])
        # The variants travel with the state: data, as in training, and not constants.
        return (moved, state[1]), timestep.observation, timestep.reward, played

    return candidate(step, (state, variants), environment.num_actions, num_steps)


def gymnax_peer(name: str, num_envs: int, num_steps: int) -> harness.Candidate:
    """Gymnax's single variant with its own automatic reset."""
    environment, params = _gymnax(name)
    _, state = jax.jit(jax.vmap(environment.reset, in_axes=(0, None)))(
        jax.random.split(jax.random.key(0), num_envs), params
    )
    vmapped = jax.vmap(environment.step, in_axes=(0, 0, 0, None))

    def step(state: Any, keys: jax.Array, actions: jax.Array) -> tuple:
        observation, state, reward, *_ = vmapped(keys, state, actions, params)
        return state, observation, reward, jnp.ones(num_envs, bool)

    return candidate(step, state, environment.num_actions, num_steps)


def _gymnax(name: str) -> tuple[Any, Any]:
    try:
        import gymnax
    except ImportError as error:
        raise UsageError(
            f"the peer is missing ({error}): pip install -r benchmarks/requirements.txt"
        ) from error
    return gymnax.make(PEERS[name])


def _installed() -> bool:
    """Whether the peer can be imported; says so if not, for ours is worth a row by itself."""
    # Found, not imported: this process only starts others and must not hold the accelerator.
    missing = [name for name in ("gymnax", "six") if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f"without {' and '.join(missing)} there is no peer, ours is measured alone: "
            "pip install -r benchmarks/requirements.txt",
            flush=True,
        )
    return not missing


def run(name: str, num_envs: int, num_steps: int, repeats: int, smoke: bool, peer: bool) -> None:
    """One game at one N; the body of a bounded process."""
    facts = harness.machine()
    time_limit = _gymnax(name)[1].max_steps_in_episode if peer else TIME_LIMIT
    game = arcade.make(name)
    mine = f"{name}, all {len(game.variants)} variants"
    candidates = {mine: ours(name, num_envs, num_steps, time_limit)}
    if peer:
        candidates[f"gymnax {PEERS[name]}"] = gymnax_peer(name, num_envs, num_steps)
    harness.report(
        "arcade_env",
        harness.compare(candidates, unit=UNIT, repeats=repeats),
        settings={"game": name, "N": num_envs, "steps": num_steps},
        facts=facts,
        baseline=f"gymnax {PEERS[name]}" if peer else None,
        smoke=smoke,
    )


def main() -> None:
    """Reads the command line and starts a process for each game and N."""
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--num-envs", nargs="+", type=int, default=[256, 1024])
    parser.add_argument("--steps", type=int, default=1000, help="scan steps a call")
    parser.add_argument("--bound", type=float, default=300, help="seconds for a game and an N")
    args = parser.parse_args()
    if args.smoke:
        args.num_envs, args.steps, args.repeats = [16], 20, harness.MIN_REPEATS
    peer = _installed()
    for name in args.games:
        for num_envs in args.num_envs:
            sizes = (name, num_envs, args.steps, args.repeats, args.smoke)
            if peer:
                if harness.bounded(run, *sizes, True, seconds=args.bound):
                    continue
                print(f"{name}, N={num_envs}: not done in {args.bound:g} s; now without the peer")
                harness.bounded(unfinished, *sizes[:3], args.bound, args.smoke, seconds=args.bound)
            if not harness.bounded(run, *sizes, False, seconds=args.bound):
                print(f"{name}, N={num_envs}: not done in {args.bound:g} s without it, either")


def unfinished(name: str, num_envs: int, num_steps: int, bound: float, smoke: bool) -> None:
    """Records that a comparison took too long."""
    row = {
        "benchmark": "arcade_env",
        "settings": {"game": name, "N": num_envs, "steps": num_steps},
        "name": f"comparison with gymnax {PEERS[name]}",
        "unfinished_after_s": bound,
        "machine": harness.machine(),
    }
    harness.append("arcade_env", [row], smoke=smoke)


if __name__ == "__main__":
    main()
