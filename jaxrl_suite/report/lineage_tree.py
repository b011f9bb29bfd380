"""A lineage laid out as a tree, for drawing: rows and lines, no matplotlib."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxrl_suite.report.lineage import FOUNDER, Lineage, check_window, checked


class Tree(NamedTuple):
    """Where to draw whom: see :func:`layout`."""

    numbers: NDArray  # [m] the bodies shown, ascending
    row: NDArray  # [m] from the top; a body shares its row with its last child shown
    end: NDArray  # [m] bodies searched when its line ends: last child, death, or now
    living: NDArray  # [m] among the last `window`
    extinct: NDArray  # [m] neither living nor an ancestor of the living
    dropped: int  # extinct bodies not shown


def layout(lineage: Lineage, window: int, most: int = 300) -> Tree:
    """Lays out the living and their ancestors as a tree whose lines never cross.

    A body's line runs along its row from its birth to that of its last child shown, which goes
    on in the same row; from there, or a childless body's, to its death. Earlier children leave
    it upwards and downwards in turn, the first-born outermost: whatever lies between a parent
    and the child that leaves it now is born later, so no line is in the way.

    Args:
      lineage: of one run.
      window: bodies alive at a time.
      most: rows. As many extinct branches are shown as fit, those with most members first; the
        living and their ancestors always.

    Returns:
      The bodies shown and their places.
    """
    check_window(window)
    parent = checked(lineage).parent
    n = len(parent)
    living = np.arange(n) >= n - window
    ancestral, size = living.copy(), np.ones(n, int)
    for number in range(n - 1, -1, -1):  # children before parents
        if parent[number] != FOUNDER:
            ancestral[parent[number]] |= ancestral[number]
            size[parent[number]] += size[number]
    # A branch has no more members than the one it left, so any bound keeps a tree whole.
    for bound in [*np.unique(size[~ancestral]).tolist(), n + 1]:
        shown = ancestral | (size >= bound)
        numbers = np.flatnonzero(shown)
        if len(numbers) - len(np.setdiff1d(parent[numbers], FOUNDER)) <= most:
            break  # a row a body without children, hence bodies less parents
    children: list[list[int]] = [[] for _ in range(n)]
    for number in numbers[parent[numbers] != FOUNDER].tolist():
        children[parent[number]].append(number)
    row, end = np.zeros(n, int), np.minimum(np.arange(n) + window, n)
    founders = numbers[parent[numbers] == FOUNDER].tolist()
    for place, number in enumerate(_leaves(founders, children)):
        row[number] = place
    for number in numbers[::-1].tolist():
        if children[number]:
            row[number], end[number] = row[children[number][-1]], children[number][-1]
    places = (numbers, row[numbers], end[numbers], living[numbers], ~ancestral[numbers])
    return Tree(*places, dropped=int(n - len(numbers)))


def _leaves(founders: list[int], children: list[list[int]]) -> list[int]:
    """Childless bodies from top to bottom."""
    leaves, stack = [], founders[::-1]
    while stack:  # no recursion: a line of descent may be thousands long
        number = stack.pop()
        born = children[number]
        if not born:
            leaves.append(number)
        earlier, last = born[:-1], born[-1:]
        stack += (earlier[::2] + last + earlier[1::2][::-1])[::-1]
    return leaves
