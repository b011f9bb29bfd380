"""DERL's whole inner loop: environment steps a second and bodies an hour.

Bodies learn on flat terrain by PPO in the quick preset's setting (16 environments x 64 steps, 4
epochs of 8 minibatches an iteration). A call is one iteration of every body in it: acting,
physics, resets, normalisers, gradients.

population: "population", as many random bodies as the preset has slots, in one program that is
  compiled once for a whole evolution. "one body", a body at a time in this engine, whose one
  program serves all bodies too. "mjx", the same environment and learner over MJX, which compiles
  anew for every body: `compile_s` is paid once a body. "MuJoCo C", its environments on threads, one
  a core, stepped by a Python loop as the released code's are; policy and learner are this suite's,
  jitted. Ratios are to mjx.

Bodies an hour follow from a row: a body of so many `life` steps takes
life / (work a wall second) + compile_s of mjx, or without it.

  python benchmarks/derl.py                # about 10 minutes on two cores
  python benchmarks/harness.py derl        # the table of all committed rows
"""

import dataclasses
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import harness
import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal.episode import CONTROL_COST, NOISE, PHYSICS_STEPS, fall_height
from jaxrl_suite.ops import running
from jaxrl_suite.physics.mjx_simulator import mjx_simulator
from jaxrl_suite.systems import derl
from jaxrl_suite.systems.derl import ppo

CANDIDATES = ("population", "one body", "mjx", "MuJoCo C")
PRESET = derl.PRESETS["quick"]
SEED = 0


def first_bodies(count: int) -> unimal.Genotype:
    """Random ones, as an evolution begins with."""
    build = jax.jit(unimal.initial_population, static_argnums=(0, 2))
    return build(PRESET.config.design, jax.random.key(SEED), count)


def candidate(config: derl.Config, genotypes: unimal.Genotype, env: Any) -> harness.Candidate:
    """One iteration of these bodies, leaves [B, ...], after two untimed ones."""
    life, hyper = config.life, PRESET.hyper
    bodies = jax.jit(jax.vmap(lambda g: derl.body_of(config, g)))(genotypes)
    count = bodies.action.shape[0]
    begin = jax.vmap(lambda b, k: derl.init(env, life, hyper, b, k))
    iterate = jax.jit(jax.vmap(lambda b, s: derl.iterate(env, life, hyper, b, s)))
    state = jax.jit(begin)(bodies, jax.random.split(jax.random.key(SEED + 1), count))
    warm = jax.jit(jax.vmap(lambda b, s: derl.iterate(env, life, hyper, b, s)[0]))
    for _ in range(2):
        state = warm(bodies, state)
    return harness.Candidate(iterate, (bodies, state), count * life.batch)


def over_mjx(config: derl.Config, genotype: unimal.Genotype) -> harness.Candidate:
    """The same for one body, whose shape MJX compiles in."""
    scene = jax.jit(lambda g: unimal.scene(config.design, g))(genotype)
    simulated = mjx_simulator(unimal.SIZES, unimal.OPTIONS, scene)
    env = derl.cut_off(unimal.flat_terrain(simulator=simulated), config.life.episode)
    return candidate(config, jax.tree.map(lambda x: x[None], genotype), env)


class HostEnvironment:
    """Flat terrain in MuJoCo C: one episode after another, observed with NumPy."""

    def __init__(self, model: mujoco.MjModel, scene: physics.Scene, seed: int):
        """A body on level ground; `scene` is the same body."""
        self._model, self._data = model, mujoco.MjData(model)
        self._generator = np.random.default_rng(seed)
        places = physics.layout(unimal.SIZES, scene.model)
        self._dofs, self._controls, self._links = places.dofs, places.controls, places.links
        self._fallen = float(fall_height(scene.model))
        self._ends = np.asarray(scene.model.segment)[:, 0, 0]
        self._geom_link = np.append(self._links, 0)[model.geom_bodyid - 1]
        self._force = np.zeros(6)

    def reset(self) -> np.ndarray:
        """[86]"""
        mujoco.mj_resetData(self._model, self._data)
        noise = functools.partial(self._generator.uniform, -NOISE, NOISE)
        self._data.qpos += noise(self._model.nq)
        self._data.qvel += noise(self._model.nv)
        mujoco.mj_forward(self._model, self._data)
        self._count = 0
        return self._see()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool]:
        """Observation, after a reset where one was due; reward, ended, cut off."""
        data, before = self._data, self._data.qpos[0]
        data.ctrl[:] = action[self._controls - 6]
        mujoco.mj_step(self._model, data, nstep=PHYSICS_STEPS)
        speed = (data.qpos[0] - before) / (PHYSICS_STEPS * self._model.opt.timestep)
        self._count += 1
        cut = self._count >= PRESET.config.life.episode
        fallen = round(data.qpos[2], 3) <= self._fallen
        reward = speed - CONTROL_COST * float(action @ action)
        seen = self.reset() if fallen or cut else self._see()
        return seen, reward, fallen or cut, cut and not fallen

    def _see(self) -> np.ndarray:
        data, seen = self._data, np.zeros(86, np.float32)
        seen[self._dofs[6:] - 6] = data.qpos[7:]
        seen[20 + self._dofs] = data.qvel
        turn = data.xmat[1].reshape(3, 3)
        seen[46:49] = turn.T @ (data.qacc[:3] + np.array([0, 0, 9.81]))
        seen[49:52], seen[52:55] = data.qvel[3:6], turn.T @ data.qvel[:3]
        for c in range(data.ncon):
            mujoco.mj_contactForce(self._model, data, c, self._force)
            for geom in data.contact.geom[c]:
                if self._model.geom_bodyid[geom]:
                    seen[55 + self._geom_link[geom]] += self._force[0]
        for body, link in enumerate(self._links[1:], 2):
            end = data.xpos[body] + data.xmat[body].reshape(3, 3) @ self._ends[link]
            seen[64 + 2 * link : 66 + 2 * link] = (turn.T @ (end - data.xpos[1]))[:2]
        return seen


def in_c(config: derl.Config, genotype: unimal.Genotype) -> harness.Candidate:
    """One body, its environments in MuJoCo C, acting and learning jitted."""
    env, life, hyper = config.make_environment(), config.life, PRESET.hyper
    scene = jax.jit(lambda g: unimal.scene(config.design, g))(genotype)
    model = mujoco.MjModel.from_xml_string(physics.to_mjcf(unimal.SIZES, unimal.OPTIONS, scene))
    body = derl.body_of(config, genotype)
    hosts = [HostEnvironment(model, scene, seed) for seed in range(life.num_envs)]
    pool = ThreadPoolExecutor(harness.machine()["cores"])
    state = jax.jit(lambda k: derl.init(env, life, hyper, body, k))(jax.random.key(SEED))
    actor, critic = ppo.networks(env, life)

    @jax.jit
    def act(params: Any, inputs: running.Running, seen: jax.Array, key: jax.Array) -> tuple:
        shown = ppo.shown(hyper, body, inputs, {ppo.PROPRIOCEPTIVE: seen})
        mean, log_std = actor.apply({"params": params["actor"]}, shown)
        draw = jax.random.normal(key, mean.shape)
        action = (mean + jnp.exp(log_std)[None] * draw) * body.action[None]
        chosen = ppo.log_prob(mean, log_std[None], action, body.action[None])
        return shown, action, chosen, critic.apply({"params": params["critic"]}, shown)

    norm = jax.jit(running.seen)
    scale = jax.jit(lambda r, x: running.scaled(r, x, hyper.reward_clip))
    learn = jax.jit(lambda state, played: ppo.learn(env, life, hyper, body, state, played))

    def run() -> Any:
        at, rows, discounted = state, [], np.zeros(life.num_envs, np.float32)
        seen = np.stack([host.reset() for host in hosts])
        for t in range(life.num_steps):
            key = jax.random.fold_in(at.key, t)
            shown, action, chosen, value = act(at.params, at.inputs, seen, key)
            told = list(pool.map(HostEnvironment.step, hosts, np.asarray(action)))
            seen = np.stack([one[0] for one in told])
            reward, ended, cut = (np.array([one[i] for one in told]) for i in (1, 2, 3))
            reward = reward.astype(np.float32)
            discounted = discounted * hyper.discount + reward
            at = at._replace(inputs=norm(at.inputs, seen), rewards=norm(at.rewards, discounted))
            discounted[ended] = 0.0
            rows.append((shown, action, chosen, value, scale(at.rewards, reward), ended, cut))
        last = act(at.params, at.inputs, seen, at.key)[3]
        played = ppo.Played(*jax.tree.map(lambda *x: jnp.stack(x), *rows), last)
        return learn(at, played)

    return harness.Candidate(run, (), life.batch)


def main() -> None:
    """Times what is asked for."""
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    args = parser.parse_args()
    config = PRESET.config
    if args.smoke:
        life = derl.Life(num_envs=2, num_steps=8, iterations=2, window=1, minibatches=2)
        config = dataclasses.replace(config, life=life, slots=2, phases=1)
        args.repeats = harness.MIN_REPEATS
    facts = harness.machine()
    bodies = first_bodies(config.slots)
    # The body of the middle number of limbs stands for one at a time.
    order = np.argsort(np.asarray(jax.vmap(unimal.num_limbs)(bodies)), kind="stable")
    middle = int(order[len(order) // 2])
    one = jax.tree.map(lambda x: x[middle], bodies)
    env = config.make_environment()
    makers: dict[str, Callable[[], harness.Candidate]] = {
        "population": lambda: candidate(config, bodies, env),
        "one body": lambda: candidate(config, jax.tree.map(lambda x: x[None], one), env),
        "mjx": lambda: over_mjx(config, one),
        "MuJoCo C": lambda: in_c(config, one),
    }
    found = {name: makers[name]() for name in makers if name in args.candidates}
    results = harness.compare(found, unit="environment steps", repeats=args.repeats)
    settings = {
        "comparison": "inner loop",
        "bodies": config.slots,
        "envs": config.life.num_envs,
        "steps": config.life.num_steps,
        "limbs of one": int(unimal.num_limbs(one)),
        "life": PRESET.config.life.iterations * PRESET.config.life.batch,
    }
    baseline = "mjx" if {"mjx"} < set(found) else None
    harness.report(
        "derl", results, settings=settings, facts=facts, baseline=baseline, smoke=args.smoke
    )
    for result in results:
        once = result.compile_s or 0.0
        each = settings["life"] / result.rate("wall").median + once * (result.name == "mjx")
        print(f"{result.name}: {3600 / each:.1f} bodies an hour")


if __name__ == "__main__":
    main()
