"""What collision finders produce: places where something may touch."""

from typing import NamedTuple

import jax


class Candidates(NamedTuple):
    """Places where something may touch, [N].

    distance: (m), negative where it does.
    position: [N, 3], relative to the root's origin (m).
    normal: [N, 3], from the first body to the second.
    hint: [N, 3], direction that the first tangent should take; zero for none.
    first, second: int32 [N], links 0..NB-1, the world NB, then free boxes.
    friction: [N].
    possible: bool [N], the candidate exists at all.
    """

    distance: jax.Array
    position: jax.Array
    normal: jax.Array
    hint: jax.Array
    first: jax.Array
    second: jax.Array
    friction: jax.Array
    possible: jax.Array
