"""Holds this engine against MuJoCo's C engine: same file, same state, both asked."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxrl_suite.physics import engine, mjcf, stack
from jaxrl_suite.physics.ground import flat
from jaxrl_suite.physics.kinematics import prepare
from jaxrl_suite.physics.model import Body, Options, Sizes, State

GRAVITY = 9.81


class Reference(NamedTuple):
    """A body here and in C; `slots` [nv] says where its degrees of freedom are here."""

    body: Body
    model: mujoco.MjModel
    data: mujoco.MjData
    slots: np.ndarray
    ball: np.ndarray


def load(text: str, *, self_collision: bool, hinges: int) -> Reference:
    """Compiles a body for both engines."""
    body, model = mjcf.from_mjcf(text), mujoco.MjModel.from_xml_string(text)
    if not self_collision:
        model.geom_conaffinity[model.geom_bodyid > 0] = 0
    slots, ball = list(range(6)), []
    for joint in range(1, model.njnt):
        name = model.body(model.jnt_bodyid[joint]).name
        place = joint - model.body_jntadr[model.jnt_bodyid[joint]]
        first = 6 + hinges * (body.link_names.index(name) - 1) + place
        is_ball = model.jnt_type[joint] == int(mujoco.mjtJoint.mjJNT_BALL)
        slots += [first + i for i in range(3 if is_ball else 1)]
        ball += [is_ball]
    return Reference(body, model, mujoco.MjData(model), np.array(slots), np.array(ball, bool))


def relative_error(value: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest value, or over gravity's if that is larger.

    A body at rest accelerates by what support leaves of gravity: float32 knows that to a
    millionth of gravity, not to a millionth of the rest.
    """
    scale = max(float(np.abs(expected).max()), GRAVITY)
    return float(np.abs(value - expected).max()) / scale


class Oracle:
    """A batch of references, one compiled program of ours."""

    def __init__(self, texts: Sequence[str], options: dict, *, contacts: int):
        """Options are set over the file's."""
        loaded = [mjcf.from_mjcf(text) for text in texts]
        sizes = functools.reduce(Sizes.union, [body.sizes for body in loaded])
        self.models, self.sizes = stack(loaded, dataclasses.replace(sizes, contacts=contacts))
        self.options: Options = dataclasses.replace(loaded[0].options, **options)
        self.references = [
            load(
                text,
                self_collision=self.options.self_collision,
                hinges=self.sizes.hinges,
            )
            for text in texts
        ]
        friction = loaded[0].ground_friction
        tree = jax.jit(jax.vmap(lambda m: prepare(self.sizes, m)))(self.models)
        shared = (self.sizes, self.options)

        def forward(models, tree, states, controls):
            one = lambda m, t, s, c: engine.forward(*shared, m, t, s, c, flat(), friction)  # noqa: E731
            return jax.vmap(one)(models, tree, states, controls)

        def step(models, tree, states, controls):
            one = lambda m, t, s, c: engine.step(*shared, m, t, s, c, flat(), friction)  # noqa: E731
            after, told = jax.vmap(one)(models, tree, states, controls)
            read = lambda s, now: engine.sensors(s, now, self.options.gravity)  # noqa: E731
            return after, told, jax.vmap(read)(states, told.forward)

        self._forward, self.compiled_step = jax.jit(forward), jax.jit(step)
        self.tree = tree

    def initial(self) -> State:
        """All at rest."""
        return jax.vmap(lambda m: engine.init(self.sizes, m))(self.models)

    def randomise(self, generator: np.random.Generator, height: float, speed: float) -> None:
        """Puts C's bodies anywhere: numbers that float32 holds, so that both start alike."""
        for reference in self.references:
            model, data = reference.model, reference.data
            mujoco.mj_resetData(model, data)
            for joint in range(model.njnt):
                at = model.jnt_qposadr[joint]
                if model.jnt_type[joint] == int(mujoco.mjtJoint.mjJNT_HINGE):
                    low, high = model.jnt_range[joint]
                    # Beyond the limits, too.
                    data.qpos[at] = generator.uniform(low - 0.1, high + 0.1)
                else:
                    at += 3 * (joint == 0)
                    data.qpos[at : at + 4] = generator.normal(size=4)
                    data.qpos[at : at + 4] /= np.linalg.norm(data.qpos[at : at + 4])
            data.qpos[:3] = *generator.uniform(-1, 1, 2), height
            data.qpos[:] = data.qpos.astype(np.float32)
            data.qvel[:] = (speed * generator.normal(size=model.nv)).astype(np.float32)
            data.ctrl[:] = generator.uniform(-1, 1, model.nu).astype(np.float32)

    def states(self) -> State:
        """C's states, in our slots."""
        return jax.tree.map(lambda *x: jnp.asarray(np.stack(x)), *map(self._state, self.references))

    def _state(self, reference: Reference) -> State:
        sizes, data = self.sizes, reference.data
        q, v = np.zeros(sizes.num_positions), np.zeros(sizes.num_dofs)
        q[:7], v[reference.slots] = data.qpos[:7], data.qvel
        ball_q = np.tile([1.0, 0, 0, 0], (sizes.num_bodies - 1 if sizes.balls else 0, 1))
        slot = 6
        for joint, is_ball in enumerate(reference.ball, 1):
            at = reference.model.jnt_qposadr[joint]
            place = reference.slots[slot]
            if is_ball:
                ball_q[(place - 6) // 3] = data.qpos[at : at + 4]
            else:
                q[place + 1] = data.qpos[at]
            slot += 3 if is_ball else 1
        return State(q, v, np.zeros_like(v), ball_q)

    def controls(self) -> jax.Array:
        """C's controls, in our slots."""
        rows = np.zeros((len(self.references), self.sizes.num_dofs))
        for row, reference in zip(rows, self.references, strict=True):
            for actuator, (link, s) in enumerate(reference.body.actuators):
                row[6 + self.sizes.hinges * (link - 1) + s] = reference.data.ctrl[actuator]
        return jnp.asarray(rows)

    def forward(self) -> tuple[engine.Forward, list[dict[str, np.ndarray]]]:
        """Ours, and C's answers in our slots."""
        ours = self._forward(self.models, self.tree, self.states(), self.controls())
        theirs = []
        for reference in self.references:
            model, data = reference.model, reference.data
            mujoco.mj_forward(model, data)
            mass = np.zeros((model.nv, model.nv))
            mujoco.mj_fullM(model, data, mass)
            theirs.append(
                {"mass": mass, "smooth_force": data.qfrc_smooth, "acceleration": data.qacc}
            )
            theirs[-1] = {name: value.copy() for name, value in theirs[-1].items()}
        return jax.device_get(ours), theirs

    def errors(self, repeats: int, height: float, speed: float, seed: int = 0) -> dict:
        """Relative errors (largest difference over largest value) of random states."""
        generator = np.random.default_rng(seed)
        found: dict[str, list[float]] = {"mass": [], "smooth_force": [], "acceleration": []}
        for _ in range(repeats):
            self.randomise(generator, height, speed)
            ours, theirs = self.forward()
            assert int(ours.contacts.dropped.max()) == 0
            for i, (reference, answer) in enumerate(zip(self.references, theirs, strict=True)):
                for name, expected in answer.items():
                    value = getattr(ours, name)[i]
                    pick = np.ix_(*[reference.slots] * value.ndim)
                    found[name].append(relative_error(value[pick], expected))
        return found

    def position_errors(self, state: State) -> np.ndarray:
        """Largest difference of any position, [P]; a ball's quaternions up to their sign."""
        errors = []
        for i, reference in enumerate(self.references):
            expected = self._state(reference)
            q = np.abs(np.asarray(state.q[i]) - expected.q)
            q[3:7] = np.minimum(q[3:7], np.abs(np.asarray(state.q[i]) + expected.q)[3:7])
            one, other = np.asarray(state.ball_q[i]), expected.ball_q
            balls = np.minimum(np.abs(one - other), np.abs(one + other))
            errors.append(max(q.max(), balls.max(initial=0.0)))
        return np.array(errors)
