"""The ablations of Peng et al. 2022: what is left out of the low level's training."""

from jaxrl_suite.systems.ase import Hyper

# Without skill discovery nothing asks for motions that tell their latent; without diversity nothing
# asks for other actions under other latents.
METHODS: dict[str, dict[str, float]] = {
    "ASE": {},
    "no skill discovery": {"skill": 0.0, "encoder": 0.0},
    "no diversity": {"diversity": 0.0},
    "neither": {"skill": 0.0, "encoder": 0.0, "diversity": 0.0},
}


def hyper_of(method: str, hyper: Hyper) -> Hyper:
    """A preset's numbers with what a method leaves out."""
    return hyper._replace(**METHODS[method])
