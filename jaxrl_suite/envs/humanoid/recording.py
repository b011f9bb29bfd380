"""The humanoid's motion as MuJoCo writes it, to be looked at."""

import dataclasses

import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.humanoid import skeleton
from jaxrl_suite.envs.humanoid.tasks import BOX

_STILL = np.array([1.0, 0.0, 0.0, 0.0])


def recorded(states: physics.State, marks: np.ndarray | None = None) -> tuple[str, np.ndarray]:
    """A model and its positions.

    Args:
      states: of one character, leaves [T, ...], with its box if it has one.
      marks: [T, 3], a place to show as a ball (m), or none.

    Returns:
      MJCF, and qpos [T, nq].
    """
    num_boxes = states.box_q.shape[1]
    body = skeleton.body()
    sizes = dataclasses.replace(body.sizes, boxes=num_boxes)
    qpos = np.asarray(physics.layout(sizes, body.model, num_boxes).to_mujoco(states)[0])
    others = ""
    if num_boxes:
        size = " ".join(map(str, BOX))
        others += f'<body name="target"><freejoint/><geom type="box" size="{size}"/></body>'
    if marks is not None:
        others += (
            '<body name="mark"><freejoint/><geom type="sphere" size="0.08" mass="1" '
            'contype="0" conaffinity="0" rgba="0.9 0.3 0.2 1"/></body>'
        )
        qpos = np.concatenate([qpos, marks, np.tile(_STILL, (len(marks), 1))], axis=1)
    return skeleton.mjcf(others), qpos
