"""Holds this engine against MuJoCo's C engine: same file, same state, both asked."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxrl_suite.physics import Layout, Readings, engine, layout, mjcf, pad, simulator, stack
from jaxrl_suite.physics.model import Options, Sizes, State
from jaxrl_suite.physics.scene import Body

GRAVITY = 9.81


class Reference(NamedTuple):
    """A body here and in C."""

    body: Body
    model: mujoco.MjModel
    data: mujoco.MjData
    layout: Layout

    @property
    def slots(self) -> np.ndarray:
        """Where C's degrees of freedom are here."""
        return self.layout.dofs


def load(text: str, *, self_collision: bool, sizes: Sizes) -> Reference:
    """Compiles a body for both engines; `sizes` are those of the batch."""
    body, model = mjcf.from_mjcf(text), mujoco.MjModel.from_xml_string(text)
    if not self_collision:
        for geom in range(model.ngeom):
            if model.geom_type[geom] != int(mujoco.mjtGeom.mjGEOM_BOX) and model.geom_bodyid[geom]:
                model.geom_conaffinity[geom] = 0
    places = layout(sizes, pad(body.model, body.sizes, sizes), body.sizes.boxes)
    return Reference(body, model, mujoco.MjData(model), places)


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
        self.scenes, self.sizes = stack(loaded, dataclasses.replace(sizes, contacts=contacts))
        self.options: Options = dataclasses.replace(loaded[0].options, **options)
        self.references = [
            load(text, self_collision=self.options.self_collision, sizes=self.sizes)
            for text in texts
        ]
        simulated = simulator(self.sizes, self.options)

        def forward(scenes, states, controls):
            one = lambda scene, s, c: engine.forward(self.sizes, self.options, scene, s, c)  # noqa: E731
            return jax.vmap(one)(scenes, states, controls)

        self._forward = jax.jit(forward)
        self._step = jax.jit(jax.vmap(simulated.step))
        self._init = jax.jit(jax.vmap(simulated.init))
        self._rest = jax.device_get(self.initial())

    def step(self, state: State) -> tuple[State, Readings]:
        """One step of ours, from `state`, under C's controls."""
        return self._step(self.scenes, state, self.controls())

    def initial(self) -> State:
        """All at rest."""
        return self._init(self.scenes)

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
        """C's states, in our slots, without a warm start."""
        rows = [self._state(i) for i in range(len(self.references))]
        return jax.tree.map(lambda *x: jnp.stack(x), *rows)

    def _state(self, i: int) -> State:
        data, places = self.references[i].data, self.references[i].layout
        rest = jax.tree.map(lambda x: jnp.asarray(x[i]), self._rest)
        return places.from_mujoco(rest, data.qpos, data.qvel, np.zeros(len(data.qvel)))

    def controls(self) -> jax.Array:
        """C's controls, in our slots."""
        rows = np.zeros((len(self.references), self.sizes.num_dofs))
        for row, reference in zip(rows, self.references, strict=True):
            row[reference.layout.controls] = reference.data.ctrl
        return jnp.asarray(rows)

    def forward(self) -> tuple[engine.Forward, list[dict[str, np.ndarray]]]:
        """Ours, and C's answers in our slots."""
        ours = self._forward(self.scenes, self.states(), self.controls())
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
        """Largest difference of any position, [P]; quaternions up to their sign."""
        errors = []
        for i in range(len(self.references)):
            ours, theirs = jax.tree.map(lambda x, i=i: x[i], state), self._state(i)
            pairs = [(ours.q[:3], theirs.q[:3]), (ours.q[7:], theirs.q[7:])]
            pairs.append((ours.box_q[:, :3], theirs.box_q[:, :3]))
            found = [np.abs(np.asarray(a) - np.asarray(b)).max(initial=0.0) for a, b in pairs]
            turns = [(s.q[None, 3:7], s.ball_q, s.box_q[:, 3:]) for s in (ours, theirs)]
            one, other = (np.concatenate(t) for t in turns)
            found.append(np.minimum(np.abs(one - other), np.abs(one + other)).max(initial=0.0))
            errors.append(max(found))
        return np.array(errors)
