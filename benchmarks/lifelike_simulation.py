"""Control steps of the robot's backends and worlds, and the same in MuJoCo C; see `lifelike.py`."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import harness
import jax
import jax.numpy as jnp
import mujoco
import mujoco.rollout
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.quadruped import KINDS, Mechanics, Tracked, machine, playground, robot, tag
from jaxrl_suite.envs.quadruped.game import ROBOTS
from jaxrl_suite.physics.layout import layout
from jaxrl_suite.systems import lifelike

SPREAD = 0.1  # rad, standard deviation of actions
LANDING = 10  # control steps until dropped robots have landed, which are not timed
CHECKED, HEIGHT = 10, 1e-3  # control steps, and m by which the median base may differ in them
SEED = 0
MECHANICS = Mechanics()
CLIPS = lifelike.PRESETS["quick"].config  # what robots are doing at first


def actions_of(*lead: int) -> jax.Array:
    """Random ones, [..., 12] (rad)."""
    return SPREAD * jax.random.normal(jax.random.key(SEED), (*lead, len(robot.JOINTS)))


def moving(envs: int) -> physics.State:
    """Robots [N] somewhere in a clip, at its speed."""
    world = lifelike.following(CLIPS)
    task = Tracked(world.scene, jnp.full(len(world.groups), 1.0 / len(world.groups)))
    reset = jax.jit(jax.vmap(world.env.reset, in_axes=(0, None)))
    return reset(jax.random.split(jax.random.key(SEED), envs), task)[0].state


def play(mechanics: Mechanics) -> Callable[..., tuple]:
    """Jitted ``(scene, states [N], actions [T, N, 12]) -> (states, heights [T, N], lost)``."""
    simulate = machine.simulation(mechanics)

    def one(scene: physics.Scene, state: physics.State, action: jax.Array) -> machine.Moved:
        return machine.act(simulate, mechanics.substeps, scene, state, action)

    move = jax.vmap(one, in_axes=(None, 0, 0))

    @jax.jit
    def run(scene: physics.Scene, states: physics.State, actions: jax.Array) -> tuple:
        def body(states: physics.State, action: jax.Array) -> tuple[physics.State, tuple]:
            told = move(scene, states, action)
            return told.state, (told.state.q[:, 2], jnp.sum(told.diverged))

        states, (height, lost) = jax.lax.scan(body, states, actions)
        return states, height, jnp.sum(lost)

    return run


class Peer:
    """MuJoCo C from given states; `targets` [N, T, 12] and `height` [T, N] are what it came to.

    A target lies an action away from where the joints are, so that the peer must be asked between
    control steps. That is done here, once; :meth:`replay` is given the targets beforehand, and is
    a single call on all threads in which no Python is left.
    """

    def __init__(self, scene: physics.Scene, states: physics.State, actions: np.ndarray) -> None:
        """Simulates one robot after the other, asking each where it is."""
        self.model = mujoco.MjModel.from_xml_string(robot.mjcf(MECHANICS.timestep))
        places = layout(machine.simulation(MECHANICS).sizes, scene.model)
        qpos, qvel, warm = (np.asarray(x, float) for x in places.to_mujoco(states))
        time = np.zeros((len(qpos), 1))  # comes first
        self.start, self.warm = np.concatenate([time, qpos, qvel], axis=1), warm
        self.targets = np.empty((len(qpos), *actions.shape[::2]))
        self.height = np.empty(actions.shape[:2])
        data = mujoco.MjData(self.model)
        for i in range(len(qpos)):
            mujoco.mj_resetData(self.model, data)
            data.qpos[:], data.qvel[:], data.qacc_warmstart[:] = qpos[i], qvel[i], warm[i]
            for t, action in enumerate(actions[:, i]):
                data.ctrl[:] = np.clip(data.qpos[7:] + action, -machine.REACH, machine.REACH)
                self.targets[i, t] = data.ctrl
                mujoco.mj_step(self.model, data, nstep=MECHANICS.substeps)
                self.height[t, i] = data.qpos[2]

    def replay(self) -> Callable[[], np.ndarray]:
        """What is timed: the same again on threads, one a core; returns heights [T, N]."""
        every, cores = MECHANICS.substeps, harness.machine()["cores"]
        controls = self.targets.repeat(every, axis=1)
        reached = np.empty((*controls.shape[:2], self.start.shape[1]))
        pool = mujoco.rollout.Rollout(nthread=cores)
        data = [mujoco.MjData(self.model) for _ in range(cores)]
        given = (self.model, data, self.start, controls)

        def run() -> np.ndarray:
            pool.rollout(*given, initial_warmstart=self.warm, state=reached)
            return reached[:, every - 1 :: every, 3].T

        return run


def wander(step: Callable[..., tuple]) -> Callable[..., tuple]:
    """Jitted ``(worlds [N], actions [T, N, ...]) -> (worlds, seen [T], lost)``, whole steps.

    What robots see, and what they get, is summed, lest the compiler leave it out.
    """

    @jax.jit
    def run(worlds: Any, actions: jax.Array) -> tuple:
        def body(worlds: Any, row: tuple) -> tuple[Any, tuple]:
            action, key = row
            worlds, told = jax.vmap(step)(worlds, action, jax.random.split(key, len(action)))
            seen = sum(jnp.sum(x.astype(jnp.float32)) for x in jax.tree.leaves(told))
            return worlds, (seen, jnp.sum(worlds.diverged))

        keys = jax.random.split(jax.random.key(SEED), len(actions))
        worlds, (seen, lost) = jax.lax.scan(body, worlds, (actions, keys))
        return worlds, seen, jnp.sum(lost)

    return run


def worlds(envs: int, steps: int, settings: dict[str, Any]) -> dict[str, harness.Candidate]:
    """The playground and the game, of N robots each; `settings` are told what went wrong."""
    roads, games = playground.playground(), tag.tag()
    course = playground.course(dict.fromkeys(KINDS, 1.0))
    ways = {
        "playground": (
            lambda key: roads.reset(key, course)[0],
            lambda episode, action, key: roads.step(episode, action, key, course),
            (envs,),
        ),
        "tag": (
            lambda key: games.reset(key)[0],
            games.step,
            (max(1, envs // ROBOTS), ROBOTS),
        ),
    }
    found = {}
    for name, (reset, step, lead) in ways.items():
        run, actions = wander(step), actions_of(LANDING + steps, *lead)
        begun = jax.jit(jax.vmap(reset))(jax.random.split(jax.random.key(SEED), lead[0]))
        begun = run(begun, actions[:LANDING])[0]

        def count(output: tuple, begun: Any = begun, robots: int = math.prod(lead)) -> float:
            settings["lost"] += int(output[2])
            settings["dropped"] += int(jnp.sum(output[0].dropped - begun.dropped))
            return robots * steps

        found[name] = harness.Candidate(run, (begun, actions[LANDING:]), count)
    return found


def off_by(name: str, height: np.ndarray, wanted: np.ndarray) -> str:
    """How far bases [T, N] are from MuJoCo's, for the rows.

    Raises:
      UsageError: so far that it cannot be the same simulation.
    """
    checked = min(CHECKED, len(wanted))
    gap = np.max(np.abs(height - wanted)[:checked], axis=0)
    middle, beyond = float(np.median(gap)), int(np.sum(~(gap < HEIGHT)))
    if not middle < HEIGHT:
        raise UsageError(
            f"the median base of {name} leaves MuJoCo's by {middle:.1e} m in {checked} control "
            "steps: it simulates something else, and is not timed"
        )
    return f"{middle:.0e} m ({beyond} above {HEIGHT:g} m)"


def candidates(
    backends: Sequence[str], envs: int, steps: int
) -> tuple[dict[str, harness.Candidate], dict[str, Any]]:
    """The backends, the worlds and MuJoCo C, and the rows' settings, complete after the timing."""
    scene = machine.scene_of(MECHANICS, machine.simulation(MECHANICS).sizes)
    states, actions = moving(envs), actions_of(steps, envs)
    peer = Peer(scene, states, np.asarray(actions, float))
    settings = {"N": envs, "T": steps, "lost": 0, "dropped": 0}

    def work(name: str) -> Callable[[tuple], float]:
        def count(output: tuple) -> float:
            settings[f"{name} off by"] = off_by(name, np.asarray(output[1]), peer.height)
            settings["lost"] += int(output[2])
            return envs * steps

        return count

    args = (scene, states, actions)
    found = {
        name: harness.Candidate(play(Mechanics(backend=name)), args, work(name))
        for name in backends
    }
    found |= worlds(envs, steps, settings)
    found["MuJoCo C"] = harness.Candidate(peer.replay(), (), envs * steps)
    return found, settings
