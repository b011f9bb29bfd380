"""The clips of the library, as plans.

Everything random is drawn from one seed: how speed and heading wander, and how a standing dog
shifts its weight.
"""

import numpy as np

from jaxrl_suite.data.gaits.composing import Leap, Plan, Posture, Raised
from jaxrl_suite.data.gaits.flying import Flight
from jaxrl_suite.data.gaits.stride import BOUND, GALLOP, PACE, PRONK, RUN, TROT, WALK, Gait
from jaxrl_suite.data.gaits.walking import Passage
from jaxrl_suite.envs.quadruped import robot

# Kind, gait, speed (m/s), strides a second, most of a turn (rad/s).
_STRAIGHT = (
    ("walk", WALK, 0.4, 1.1, 0.2),
    ("walk", WALK, 0.55, 1.25, 0.2),
    ("walk", WALK, 0.7, 1.4, 0.2),
    ("pace", PACE, 0.8, 1.8, 0.1),
    ("trot", TROT, 0.8, 1.7, 0.25),
    ("trot", TROT, 1.0, 1.9, 0.25),
    ("trot", TROT, 1.2, 2.1, 0.25),
    ("bound", BOUND, 1.5, 2.3, 0.1),
    ("bound", BOUND, 2.0, 2.6, 0.1),
    ("gallop", GALLOP, 1.8, 2.5, 0.2),
    ("gallop", GALLOP, 2.5, 3.1, 0.1),
    ("pronk", PRONK, 0.6, 2.2, 0.1),
)
# Apex, crouch, tuck (m) and speed (m/s).
_JUMPS = ((0.45, 0.265, 0.08, 1.5), (0.55, 0.25, 0.25, 1.8), (0.6, 0.245, 0.25, 1.7))
# Rising, held up, sinking and held down; moving (s).
_REARED = np.array([1.0, 1.7, 2.1, 2.9])


def plans(seed: int = 0) -> list[Plan]:
    """Of all clips."""
    rng = np.random.default_rng(seed)
    found = [_shifting("stand_1", 8.0, rng), _shifting("stand_2", 9.0, rng)]
    for kind, gait, speed, frequency, turn in _STRAIGHT:
        gait = gait._replace(frequency=frequency)
        found.append(Plan(f"{kind}_{speed}", kind, _wandering(gait, speed, turn, rng)))
    found += [*_about(), *_sitting(), _rearing(), _hopping()]
    found += [_jumping(*jump) for jump in _JUMPS]
    found += _starting()
    return [plan._replace(name=f"procedural/{plan.name}") for plan in found]


def _wandering(gait: Gait, speed: float, turn: float, rng: np.random.Generator) -> list[Passage]:
    """Eight seconds of a gait; every two, speed and heading change a little."""
    draws = rng.uniform(-1.0, 1.0, (4, 2))
    return [Passage(2.0, gait, speed * (1.0 + 0.06 * a), turn=turn * b) for a, b in draws]


def _standing(gait: Gait) -> Gait:
    return gait._replace(height=0.32, width=0.15, tilt=0.03)


def _stand(seconds: float, gait: Gait = WALK) -> Passage:
    """On all feet, from which `gait` begins or in which it ends."""
    return Passage(seconds, _standing(gait), steps=False)


def _shifting(name: str, seconds: float, rng: np.random.Generator) -> Plan:
    """Stands and shifts its weight."""
    times = np.concatenate([[0.0], np.cumsum(rng.uniform(0.7, 1.4, int(seconds)))])
    most = np.array([0.035, 0.035, 0.03, 0.12, 0.14, 0.2])
    poses = rng.uniform(-1.0, 1.0, (len(times), 6)) * most - np.array([0, 0, 0.03, 0, 0, 0])
    poses[::3] = 0.0
    return Plan(name, "stand", [_stand(seconds)], posture=Posture(times, poses))


def _about() -> list[Plan]:
    """Not straight ahead: turns, arcs, sideways, backwards, close to the ground."""
    steps = TROT._replace(frequency=1.7, duty=0.6, clearance=0.05)
    creep = WALK._replace(frequency=1.2, height=0.22, clearance=0.04, width=0.16)
    back = WALK._replace(frequency=1.3, offsets=(0.25, 0.75, 0.5, 0.0))
    turns = [Passage(3.5, steps, turn=1.2), Passage(3.5, steps, turn=-1.2)]
    sides = [Passage(3.5, steps, left=0.25), Passage(3.5, steps, left=-0.25)]
    return [
        Plan("turn", "turn", [_stand(0.6, steps), *turns, _stand(1.4, steps)], blend=0.6),
        Plan("arc_left", "arc_walk", [Passage(8.0, WALK, 0.5, turn=0.45)]),
        Plan("arc_right", "arc_walk", [Passage(8.0, WALK, 0.5, turn=-0.45)]),
        Plan("sidestep", "sidestep", [_stand(0.6, steps), *sides, _stand(1.4, steps)], blend=0.6),
        Plan("backward", "backward", [Passage(8.0, back, -0.35)]),
        Plan("crouch_walk", "crouch_walk", [Passage(8.0, creep, 0.35)]),
    ]


def _sitting() -> list[Plan]:
    """Hind legs fold, front feet stay; and up again."""
    found = []
    for name, (back, down, up), hold in (
        ("sit_1", (-0.04, -0.072, -0.47), 1.4),
        ("sit_2", (-0.055, -0.048, -0.62), 1.7),
    ):
        low = np.array([back, 0.0, down, 0.0, up, 0.0])
        poses = np.array([np.zeros(6), np.zeros(6), low, low, np.zeros(6), np.zeros(6)])
        poses = np.concatenate([poses[:-1], poses[1:]])
        spans = [0.8, 1.1, hold, 1.0, 0.7] * 2
        times = np.concatenate([[0.0], np.cumsum(spans)])[: len(poses)]
        found.append(Plan(name, "sit", [_stand(times[-1])], posture=Posture(times, poses)))
    return found


def _rearing() -> Plan:
    """On the hind legs, three times, with the front paws in front of the chest."""
    high = np.array([-0.15, 0.0, 0.115, 0.0, -0.9, 0.0])
    crouch = np.array([-0.03, 0.0, -0.04, 0.0, 0.0, 0.0])
    starts = np.array([0.0, 2.9, 5.8])
    poses = np.array([np.zeros(6), crouch, high, high, crouch] * 3 + [np.zeros(6)] * 2)
    times = (starts[:, None] + np.array([0.4, 1.0, 1.7, 2.1, 2.8])).reshape(-1)
    times = np.concatenate([times, [9.1, 9.6]])
    paws = robot.HIPS[:2] + np.stack([[0.12, side * 0.07, -0.17] for side in robot.SIDES[:2]])
    raised = Raised((0, 1), starts[:, None] + _REARED, paws)
    passages = [_stand(9.6)]
    return Plan("rear_up", "rear_up", passages, posture=Posture(times, poses), raised=raised)


def _hopping() -> Plan:
    """Straight up, three times; then forward, three times."""
    hop = Flight(0.0, 0.42, tuck=0.06)
    far = hop._replace(apex=0.44, tuck=0.08, pitch=(-0.1, 0.1))
    hops = [hop._replace(takeoff=x) for x in (0.9, 2.1, 3.3)]
    hops += [far._replace(takeoff=x) for x in (4.7, 5.7, 6.7)]
    ahead = Passage(2.9, _standing(WALK), 0.4, steps=False)
    return Plan("hop", "hop", [_stand(4.0), ahead, _stand(1.5)], blend=0.5, hops=hops)


def _jumping(apex: float, low: float, tuck: float, speed: float) -> Plan:
    """Runs, and jumps three times; from 0.5 m on over an obstacle of 0.2 m that is not there."""
    flight = Flight(0.0, apex, (0.35, 0.33), low, pitch=(-0.3, 0.2), tuck=tuck)
    leaps = [Leap(strides, flight) for strides in (2, 7, 12)]
    return Plan(f"jump_{apex}", "jump", [Passage(8.0, RUN, speed)], leaps=leaps)


def _starting() -> list[Plan]:
    """From a stand and to a stand."""
    trot = TROT._replace(frequency=1.8)
    faster = [
        _stand(0.8),
        Passage(1.8, WALK, 0.6),
        Passage(1.8, TROT, 1.1),
        Passage(2.4, GALLOP, 2.0),
        Passage(1.8, TROT, 1.0),
        _stand(1.4, TROT),
    ]
    walk = [_stand(1.0), Passage(4.0, WALK, 0.6), _stand(1.5), Passage(2.0, WALK, 0.5)]
    trots = [_stand(0.8, trot), Passage(3.0, trot, 1.0, turn=0.3), _stand(1.5, trot)]
    trots += [Passage(2.0, trot, 0.9, turn=-0.3), _stand(1.2, trot)]
    return [
        Plan("start_stop_walk", "start_stop", walk),
        Plan("start_stop_trot", "start_stop", trots),
        Plan("start_stop_gallop", "start_stop", faster, blend=1.0),
    ]
