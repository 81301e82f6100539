"""The tree beyond what is audited: hashes of a trusted head that no records stand behind yet.

A log that shows a bad record and then nothing more cannot keep the evidence from being
made: the hashes that its own root vouches for are enough for the path to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.mmr import NodeReader, subtree_position
from nous_ledger.protocol.tiles import FULL_WIDTH, TILE_HEIGHT, tile_of_node
from nous_ledger.protocol.types import Hash32, NodePos
from sentinel.audit.growth import Frontier
from sentinel.state_tree import subtree_root

_HASH = 32


class NodesAhead:
    """Reads nodes from what is remembered, and from a frontier where nothing is."""

    def __init__(self, nodes: NodeReader, frontier: Frontier | None) -> None:
        """Read ahead.

        Args:
            nodes: what is remembered.
            frontier: of the trusted head; None where there is none.
        """
        self._nodes = nodes
        self._frontier = frontier

    def __call__(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        """Return the hashes of nodes.

        Raises:
            UnavailableError: undecided, a node is known from neither.
        """
        return tuple(map(self._node, positions))

    def _node(self, position: NodePos) -> Hash32:
        try:
            return self._nodes((position,))[0]
        except UnavailableError:
            if self._frontier is None:
                raise
            level, index, low, high = tile_of_node(position)
            if level == 0:
                return subtree_root(self._leaves(self._frontier, index, low, high))
            bundles = FULL_WIDTH ** (level - 1)
            first = (index * FULL_WIDTH + low) * bundles
            last = (index * FULL_WIDTH + high) * bundles
            return subtree_root(b"".join(self._bundles(self._frontier, first, last)))

    def _bundles(self, frontier: Frontier, first: int, last: int) -> Iterator[bytes]:
        for bundle in range(first, last):
            if bundle < frontier.first_bundle:
                yield self._nodes((subtree_position(bundle * FULL_WIDTH, TILE_HEIGHT),))[0]
            elif frontier.width(bundle) == FULL_WIDTH:
                yield frontier.expected(bundle)
            else:
                raise _unknown()

    @staticmethod
    def _leaves(frontier: Frontier, bundle: int, low: int, high: int) -> bytes:
        if frontier.width(bundle) == FULL_WIDTH or high > frontier.width(bundle):
            raise _unknown()
        return frontier.rest[low * _HASH : high * _HASH]


def _unknown() -> UnavailableError:
    return UnavailableError("undecided", "a node of the tree is not known yet")
