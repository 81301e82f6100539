"""The whole zoo: every behaviour by name."""

from types import MappingProxyType
from typing import Final

from tests.zoo import (
    zoo_bodies,
    zoo_heads,
    zoo_history,
    zoo_keys,
    zoo_network,
    zoo_policies,
    zoo_rare,
    zoo_records,
    zoo_tiles,
    zoo_time,
)
from tests.zoo.behaviour import ZOO

HOUSES: Final = (
    zoo_history,
    zoo_heads,
    zoo_keys,
    zoo_records,
    zoo_bodies,
    zoo_tiles,
    zoo_time,
    zoo_network,
    zoo_policies,
    zoo_rare,
)
ALL: Final = MappingProxyType(ZOO)
