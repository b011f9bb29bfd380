"""Gaits: when which foot stands, and how the forces of the feet rock the body.

A leg is an oscillator: its phase runs from 0, when its foot touches down, to its duty factor, when
the foot lifts off, and on to 1.
"""

from typing import NamedTuple

import numpy as np

from jaxrl_suite.envs.quadruped import robot

GRAVITY = 9.81
# Squared radii of gyration of the standing robot about its centre of mass (m^2): what
# MuJoCo makes of its links, 0.21 and 0.47 kg m^2, by 13 kg.
_ROLL, _PITCH = 0.016, 0.0365
_CENTRE = -0.0225  # m, of mass, ahead of the middle of the base
_SAMPLES = 512  # of a stride
_HARMONICS = 60


class Gait(NamedTuple):
    """How a dog goes.

    frequency: strides a second.
    duty: share of a stride for which a foot stands.
    offsets: shares of a stride at which the feet FR, FL, HR, HL touch down.
    clearance: height to which a foot is lifted (m).
    height: of the base (m).
    width: from the middle to a foot (m).
    reach: from the middle to the front feet, and to the hind ones (m).
    tilt: of the base, nose down (rad).
    sway, roll, pitch: shares of what the forces of the feet would do to a free body. Up and down
      it does all of that, and falls freely while no foot stands.
    """

    frequency: float
    duty: float
    offsets: tuple[float, float, float, float]
    clearance: float = 0.06
    height: float = 0.31
    width: float = 0.145
    reach: tuple[float, float] = (0.205, 0.195)
    tilt: float = 0.02
    sway: float = 0.5
    roll: float = 0.3
    pitch: float = 0.4

    @property
    def stance(self) -> np.ndarray:
        """Where the feet stand, seen from the base, [4, 2] (m)."""
        front, hind = self.reach
        x = np.array([front, front, -hind, -hind])
        return np.stack([x, robot.SIDES * self.width], axis=1)


def rocking(gait: Gait) -> np.ndarray:
    """The body's motion over a stride, [4, H]: y, z (m), roll and pitch (rad) as Fourier series.

    Every foot presses with a force F that grows and fades as sin^2 over its stance; front and hind
    feet share the weight so that the body stays level. Accelerations of a free body are

        z'' = sum F / m - g,   roll'' = sum y F / I_x,   pitch'' = -sum x F / I_y

    with x and y from the centre of mass to the foot, and y that of an inverted pendulum above the
    centre of pressure p, y'' = (y - p) g / h; all are integrated over the stride as what repeats
    itself.

    differs: the specification has sinusoids tied to the phase; these are as well, but their shape
    and size follow from the gait, so that flight is free fall without further ado.
    """
    phase = np.arange(_SAMPLES)[:, None] / _SAMPLES - np.array(gait.offsets)
    share = (phase % 1.0) / gait.duty
    x, y = gait.stance.T
    ahead, behind = gait.reach[0] - _CENTRE, gait.reach[1] + _CENTRE
    weight = np.where(x > 0, behind, ahead) / (2.0 * (ahead + behind))
    force = np.where(share < 1.0, 2.0 * np.sin(np.pi * share) ** 2 / gait.duty * weight, 0.0)
    arms = np.stack([y, np.ones(4), y / _ROLL, (_CENTRE - x) / _PITCH])
    moments = arms @ force.T
    series = np.fft.rfft(GRAVITY * moments) * 2.0 / _SAMPLES
    series = series[:, 1 : _HARMONICS + 1]
    square = (2.0 * np.pi * gait.frequency * np.arange(1, _HARMONICS + 1)) ** 2
    pendulum = series[0] / gait.height / (square + GRAVITY / gait.height)
    gains = np.array([gait.sway, 1.0, gait.roll, gait.pitch])
    return np.stack([pendulum, *(-series[1:] / square)]) * gains[:, None]


def at(series: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Fourier series [4, H] at phases [N] (strides), [4, N]."""
    waves = np.exp(2j * np.pi * np.arange(1, series.shape[1] + 1)[:, None] * phase)
    return (series @ waves).real


# Offsets are told so that numbers between those of two gaits are gaits as well.
WALK = Gait(1.25, 0.70, (0.75, 0.25, 0.5, 0.0), clearance=0.05, sway=0.3, roll=0.03)
TROT = Gait(1.9, 0.52, (1.0, 0.5, 0.5, 0.0), height=0.305, width=0.135, roll=0.1)
PACE = Gait(1.8, 0.56, (0.0, 0.5, 0.0, 0.5), width=0.115, sway=0.6, roll=0.05)
BOUND = Gait(2.5, 0.40, (0.46, 0.46, 0.0, 0.0), clearance=0.08, height=0.30, width=0.125)
GALLOP = Gait(2.8, 0.32, (1.45, 0.56, 0.11, 0.0), clearance=0.07, height=0.295, width=0.115)
PRONK = Gait(2.2, 0.50, (0.0, 0.0, 0.0, 0.0), clearance=0.09, height=0.31)
# A bound whose feet leave the ground as late as they can, for run-ups.
RUN = BOUND._replace(frequency=2.4, duty=0.45, offsets=(0.5, 0.5, 0.0, 0.0))
