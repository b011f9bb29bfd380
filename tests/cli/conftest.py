import pytest

from tests.command import SMALL, jaxrl
from tests.runtime.conftest import tiny_disk  # noqa: F401


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A directory whose runs/ holds the finished run impala/a."""
    place = tmp_path_factory.mktemp("trained")
    options = ["--num-updates", 4, "--name", "a", "--root", place / "runs"]
    assert jaxrl("train", "impala", "quick", *SMALL, *options) == 0
    return place
