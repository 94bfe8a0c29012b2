"""Places on the sphere, and how far they are from each other."""

from math import asin, cos, radians, sin, sqrt
from typing import Any

__all__ = ["RADIUS_KM", "coordinates", "distance_km"]

#: The mean radius of WGS 84.
RADIUS_KM = 6371.0088

#: Latitude and longitude in degrees.
Place = tuple[float, float]


def coordinates(value: Any) -> Place | None:
    """The place that an object with numbers `latitude` and `longitude` names; None for anything else."""
    if not isinstance(value, dict):
        return None
    latitude: Any = value.get("latitude")
    longitude: Any = value.get("longitude")
    if not _within(latitude, 90) or not _within(longitude, 180):
        return None
    return float(latitude), float(longitude)


def distance_km(one: Place, other: Place) -> float:
    """The length of the great circle between two places, by the haversine formula."""
    (phi, lam), (phi_other, lam_other) = (tuple(map(radians, place)) for place in (one, other))
    half = sin((phi_other - phi) / 2) ** 2 + cos(phi) * cos(phi_other) * sin((lam_other - lam) / 2) ** 2
    return 2 * RADIUS_KM * asin(min(1.0, sqrt(half)))


def _within(value: Any, limit: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -limit <= value <= limit
