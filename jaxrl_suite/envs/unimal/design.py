"""Which rules of the original generator hold, and which are put right."""

import dataclasses

from jaxrl_suite.core import UsageError

LATTICES = ("original", "clean")
CONTACT_MODES = ("original", "exclude", "clean")


@dataclasses.dataclass(frozen=True)
class Design:
    """Rules of growth and of the simulated body; the defaults are the original's.

    Attributes:
      lattice: "original" rounds half centimetres as the released code did, by floating-point
        noise, which breaks the mirror of four diagonal directions; "clean" rounds them away from
        zero, so that mirrored directions have mirrored offsets.
      contacts: of limbs at rest. "original" lets the limbs of a pair on one site touch or overlap
        and simulates that; "exclude" lets them, and switches such pairs off in the simulation, as
        the released generator meant to; "clean" refuses all but a limb and its parent.
      touching: whether limbs whose surfaces just touch count as in contact.
      check_length: whether a new length must leave the body valid, as growth must; the original's
        does not.
      stale_height: whether deletion leaves the start height as it was, and a limb whose length has
        changed counts one radius short where the height is found, as in the original: bodies may
        start higher or 5 cm lower than 20 cm above the ground.
      mirror_joints: whether the second limb of a pair has the mirror image of the first one's
        joints; in the original its x axes are opposed.
    """

    lattice: str = "original"
    contacts: str = "original"
    touching: bool = True
    check_length: bool = False
    stale_height: bool = True
    mirror_joints: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a name that is none."""
        if self.lattice not in LATTICES:
            raise UsageError(f"lattice must be one of {LATTICES}, not {self.lattice!r}")
        if self.contacts not in CONTACT_MODES:
            raise UsageError(f"contacts must be one of {CONTACT_MODES}, not {self.contacts!r}")


ORIGINAL = Design()
CLEAN = Design(
    lattice="clean",
    contacts="clean",
    touching=False,
    check_length=True,
    stale_height=False,
    mirror_joints=True,
)
