"""A tiny system with every feature the runtime must carry, and ways to run it in a process.

Linear regression by SGD with momentum. The source owns a batch of "environments": a drifting
phase and a typed key each, split over the mesh. Run as a script, this file is a small `jaxrl`:

  python toy.py RUNS NAME --num-updates 40 ...
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jaxrl_suite.core import DATA_AXIS, Learner, Source, UsageError, fuse
from jaxrl_suite.runtime import hosts, interrupt, loop, rundir
from jaxrl_suite.runtime import mesh as meshes

ROOT = Path(__file__).parents[2]


class LearnerState(NamedTuple):
    params: dict
    momentum: dict
    hyper: dict
    empty: jax.Array  # a leaf without elements


class SourceState(NamedTuple):
    phase: jax.Array  # [B]
    keys: jax.Array  # [B] typed keys
    last_return: jax.Array  # [B], NaN until the first episode ends


def make(*, batch=8, features=3, slow=0, nan_at=-1):
    """The toy system; `slow` is wasted work per update, `nan_at` when it diverges."""

    def learner_init(key, hyper):
        params = {"w": jax.random.normal(key, (features,)), "b": jnp.zeros((), jnp.bfloat16)}
        zeros = jax.tree.map(jnp.zeros_like, params)
        return LearnerState(params, zeros, hyper, jnp.zeros((0, 2)))

    def loss_fn(params, batch):
        x, y = batch
        error = x @ params["w"] + params["b"].astype(jnp.float32) - y
        return jnp.mean(error**2)

    def learner_update(state, batch):
        loss, grad = jax.value_and_grad(loss_fn)(state.params, batch)
        momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state.momentum, grad)
        rate = state.hyper["learning_rate"]
        params = jax.tree.map(lambda p, m: (p - rate * m).astype(p.dtype), state.params, momentum)
        waste = jnp.ones((128, 128)) * loss
        waste = jax.lax.fori_loop(0, slow, lambda _, w: jnp.tanh(w @ w), waste)
        metrics = {"loss": loss + 0 * waste[0, 0], "params": params["w"]}
        metrics["sometimes"] = jnp.where(loss > 1, loss, jnp.nan)
        return state._replace(params=params, momentum=momentum), metrics

    def source_init(key, hyper, params):
        keys = jax.random.split(key, batch)
        phase = jnp.zeros((batch,)) + jnp.arange(batch)
        return SourceState(phase, keys, jnp.full((batch,), jnp.nan))

    def sample(state, params, key):
        noise = jax.random.normal(key, (batch, features))
        new = jax.vmap(lambda k: jax.random.split(k, 2))(state.keys)
        own = jax.vmap(lambda k: jax.random.normal(k, (features,)))(new[:, 1])
        x = own + noise + jnp.sin(state.phase)[:, None]
        y = x @ jnp.arange(1.0, features + 1) + 1
        y = jnp.where(jnp.round(state.phase[0] * 10) == nan_at, jnp.nan, y)
        return state._replace(phase=state.phase + 0.1, keys=new[:, 0]), (x, y)

    spec = SourceState(PartitionSpec(DATA_AXIS), PartitionSpec(DATA_AXIS), PartitionSpec(DATA_AXIS))
    return fuse(
        Learner(learner_init, learner_update),
        Source(source_init, sample, spec),
        hyper={"learning_rate": jnp.float32(0.01)},
        evaluate=lambda state, key: {"bias": state.learner.params["b"].astype(jnp.float32)},
        frames_per_update=batch,
    )


def record(**changes):
    """A run record of the toy."""
    fields = {"config": {"batch": 8}, "hyper": {}, "seed": 0, "num_updates": 40}
    fields |= changes
    config, hyper = fields.pop("config"), fields.pop("hyper")
    return rundir.make_record("toy", "quick", config, hyper, **fields)


def train(root, name, system, *, num_updates, mesh=None, **options):
    """Creates or goes on with a run, as the command line does."""
    if hosts.on_all(lambda: (root / "toy" / name).exists()):
        run = rundir.Run(root / "toy" / name, record(num_updates=num_updates))
    else:
        run = rundir.create_run(record(num_updates=num_updates), name, root=root)
    state = loop.init_or_restore(system, run, mesh=mesh)
    options = {"log_every": 5, "checkpoint_every": 10} | options
    return run, loop.fit(system, run, state, num_updates=num_updates, mesh=mesh, **options)


def start(*arguments, devices=1, **popen):
    """This file as a process of its own, with `devices` virtual CPU devices."""
    env = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("name")
    parser.add_argument("--num-updates", type=int, nargs="+", help="train to each, resuming")
    parser.add_argument("--log-every", type=int, default=5)
    parser.add_argument("--checkpoint-every", type=int, default=10)
    parser.add_argument("--slow", type=int, default=0)
    parser.add_argument("--mesh", action="store_true")
    parser.add_argument("--coordinator")
    parser.add_argument("--process", type=int, default=0)
    args = parser.parse_args()

    try:
        if args.coordinator:
            hosts.initialize_distributed(args.coordinator, 2, args.process)
        mesh = meshes.make_mesh() if args.mesh else None
        intervals = {"log_every": args.log_every, "checkpoint_every": args.checkpoint_every}
        intervals["evaluate_every"] = args.checkpoint_every
        system = make(slow=args.slow)
        for target in args.num_updates:
            train(args.root, args.name, system, num_updates=target, mesh=mesh, **intervals)
    except interrupt.Interrupted as e:
        interrupt.leave(e)
    except UsageError as e:
        print(e, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
