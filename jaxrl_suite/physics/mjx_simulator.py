"""MJX behind the seam: one body, compiled in; for comparison, and where one body is enough."""

from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.physics import engine
from jaxrl_suite.physics.engine import Sensors
from jaxrl_suite.physics.layout import layout
from jaxrl_suite.physics.mjcf_writer import to_mjcf
from jaxrl_suite.physics.model import ROOT_DOFS, Options, Sizes, State
from jaxrl_suite.physics.scene import Scene
from jaxrl_suite.physics.simulator import Readings, Simulator


def mjx_simulator(sizes: Sizes, options: Options, scene: Scene) -> Simulator:
    """MJX on the body of `scene`, with states and controls in this engine's slots.

    The body, its ground and its boxes are compiled in: the scene that `step` is given is read for
    its start alone. MJX drops no contact, and its contact frames of upright capsules are not
    MuJoCo's.

    Args:
      sizes: of the scene.
      options: `newton_steps` and `line_search_steps` become MJX's bounds; it starts as
        "cheaper" does, and stops at MuJoCo's tolerance.
      scene: one body, not traced.

    Raises:
      UsageError: MJX does not support something in the scene.
    """
    from mujoco import mjx  # takes a second to import

    model = mujoco.MjModel.from_xml_string(to_mjcf(sizes, options, scene))
    model.opt.iterations, model.opt.ls_iterations = options.newton_steps, options.line_search_steps
    model.opt.tolerance = 1e-8
    places = layout(sizes, scene.model, int(np.sum(scene.boxes.exists)))
    try:
        compiled = mjx.put_model(model)
        blank = mjx.make_data(model)
    except NotImplementedError as error:
        raise UsageError(f"MJX does not support this scene: {error}") from error
    bodies = jnp.asarray(places.links)
    geom_body = jnp.asarray(model.geom_bodyid)

    def link_values(of_bodies: jax.Array) -> jax.Array:
        """[nbody, ...] -> [NB, ...]; links that do not exist have zeros."""
        blank = jnp.zeros((sizes.num_bodies, *of_bodies.shape[1:]), of_bodies.dtype)
        return blank.at[bodies].set(of_bodies[1 : 1 + len(places.links)])

    def step(
        scene: Scene, state: State, control: jax.Array, applied: jax.Array | float = 0.0
    ) -> tuple[State, Readings]:
        qpos, qvel, acceleration = places.to_mujoco(state)
        force = jnp.zeros(sizes.num_accelerations).at[: sizes.num_dofs].set(applied)
        data = blank.replace(
            qpos=qpos,
            qvel=qvel,
            qacc_warmstart=acceleration,
            ctrl=control[places.controls],
            qfrc_applied=force[places.dofs],
        )
        # MJX is written so; and tensor cores' products would cost three digits.
        with jax.numpy_rank_promotion("allow"), jax.default_matmul_precision("highest"):
            data = mjx.step(compiled, data)
        rest = engine.init(sizes, scene)
        after = places.from_mujoco(rest, data.qpos, data.qvel, data.qacc)
        finite = jnp.all(jnp.isfinite(data.qpos)) & jnp.all(jnp.isfinite(data.qvel))
        after = jax.tree.map(lambda a, b: jnp.where(finite, a, b), after, rest)
        root = data.xpos[1]
        readings = Readings(
            link_values(data.xpos - root[None]),
            link_values(data.xquat),
            Sensors(
                accelerometer=data.xmat[1].T
                @ (data.qacc[:3] + jnp.array([0.0, 0.0, options.gravity])),
                gyro=qvel[3:ROOT_DOFS],
                velocimeter=data.xmat[1].T @ qvel[:3],
                touch=link_values(_touch(data, geom_body, model.nbody)),
            ),
            jnp.zeros((), jnp.int32),
            ~finite,
        )
        return after, readings

    return Simulator(sizes, options, lambda scene: engine.init(sizes, scene), step)


def _touch(data: Any, geom_body: jax.Array, num_bodies: int) -> jax.Array:
    """Normal forces on every body, [nbody]: the sum over a pyramid's four edges."""
    contact = data._impl.contact
    if not len(contact.efc_address):
        return jnp.zeros(num_bodies)
    edges = jnp.asarray(contact.efc_address)[:, None] + jnp.arange(4)[None]
    normal = jnp.sum(data._impl.efc_force[edges], axis=1)
    touched = geom_body[contact.geom]  # [contacts, 2]
    return jnp.zeros(num_bodies).at[touched[:, 0]].add(normal).at[touched[:, 1]].add(normal)
