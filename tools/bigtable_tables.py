"""The tables of a store in Bigtable, made from the store's own code, for Terraform."""

from typing import Any

from transforms.storage.bigtable.database import BY_ARRIVAL, NAMES
from transforms.storage.bigtable.tables import FAMILY, VERSIONS

__all__ = ["tables"]


def tables() -> dict[str, Any]:
    """Every table with its column families.

    Of each: how many versions of a cell are kept, and whether the times of its cells are arrivals. Then a rule by age
    may be added.
    """
    return {
        "tables": {
            name: {"families": {FAMILY: {"max_versions": VERSIONS, "by_arrival": name in BY_ARRIVAL}}} for name in NAMES
        }
    }
