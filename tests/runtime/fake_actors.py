"""Actors on threads that play no game, and a system that learns from what they send.

Linear regression again, its data from actors on the host. Run as a script, this file trains it:

  python fake_actors.py RUNS NAME --num-updates 40 ...
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import toy
from jax.sharding import PartitionSpec

from jaxrl_suite.core import DATA_AXIS, HostSystem, QueueConfig, SystemState
from jaxrl_suite.runtime import interrupt
from jaxrl_suite.runtime import mesh as meshes

BATCH, FEATURES = 8, 3


class FakeActor:
    """Plays an unroll that tells its number; may wait, fail or hang.

    fail_at: the unroll, counted from 0, that raises.
    hang: an event without which no unroll ends.
    """

    def __init__(self, number=0, made=0, *, seconds=0.0, fail_at=-1, hang=None):
        self.number, self.made, self.seconds = number, made, seconds
        self.fail_at, self.hang = fail_at, hang
        self.played, self.versions, self.params, self.closed = 0, [], [], False

    def unroll(self, params, version):
        if self.hang:
            self.hang.wait()
        if self.played == self.fail_at:
            raise ZeroDivisionError(f"emulator {self.number} burns")
        time.sleep(self.seconds)
        self.versions.append(version)
        self.params.append(params)
        rng = np.random.default_rng([self.number, self.made + self.played])
        self.played += 1
        return {
            "x": rng.normal(size=(BATCH, FEATURES)).astype(np.float32),
            "version": np.full(BATCH, version, np.int32),
        }

    def close(self):
        self.closed = True


def host_system(make_actors, queue=QueueConfig()):  # noqa: B008
    """Regression by SGD on what actors send; `make_actors` is HostSystem.actors."""
    learner = toy.make(batch=BATCH, features=FEATURES)

    def init(key, hyper=None):
        state = learner.init(key) if hyper is None else learner.init(key, hyper)
        return SystemState(state.learner, (), state.key, jnp.zeros((), jnp.int32))

    def learn(state, unrolls):
        batch = jax.tree.map(lambda *parts: jnp.concatenate(parts), *unrolls)

        def loss_fn(params):
            error = batch["x"] @ (params["w"] - jnp.arange(1.0, FEATURES + 1))
            return jnp.mean(error**2)

        loss, grad = jax.value_and_grad(loss_fn)(state.learner.params)
        params = jax.tree.map(
            lambda p, g: (p - 0.01 * g).astype(p.dtype), state.learner.params, grad
        )
        lag = (state.num_updates - batch["version"]).astype(jnp.float32)
        state = state._replace(
            learner=state.learner._replace(params=params), num_updates=state.num_updates + 1
        )
        return state, {"loss": loss, "lag_mean": lag.mean(), "lag_max": lag.max()}

    return HostSystem(
        init=init,
        learn=learn,
        actors=make_actors,
        evaluate=lambda state, key: {"bias": state.learner.params["b"].astype(jnp.float32)},
        frames_per_update=BATCH,
        spec=PartitionSpec(),
        batch_spec=PartitionSpec(DATA_AXIS),
        queue=queue,
    )


def deterministic_system(seconds=0.0):
    """One actor whose data depend on the update alone."""
    return host_system(lambda made: [FakeActor(made=made, seconds=seconds)])


def start_process(*arguments, devices=1):
    env = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(toy.ROOT),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def actor_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("actor-")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("name")
    parser.add_argument("--num-updates", type=int)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--mesh", action="store_true")
    args = parser.parse_args()
    mesh = meshes.make_mesh() if args.mesh else None
    system = deterministic_system(args.seconds)
    try:
        toy.train(args.root, args.name, system, num_updates=args.num_updates, mesh=mesh)
    except interrupt.Interrupted as error:
        interrupt.leave(error)


if __name__ == "__main__":
    main()
