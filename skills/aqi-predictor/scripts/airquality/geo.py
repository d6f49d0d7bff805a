"""Where stations lie to each other."""
from __future__ import annotations

import math
from typing import List, Mapping, Optional, Sequence, Tuple

EARTH_RADIUS_KM = 6371.0
LEAST_SHARE = 0.03  # neighbours with less than this share of the largest weight are left out
Site = Tuple[float, float]  # longitude, latitude in degrees
Links = List[Tuple[int, float]]  # (other station, weight); the weights of a station sum to 1


def distance_km(a: Site, b: Site) -> float:
    """Great-circle distance (haversine formula)."""
    lon_a, lat_a, lon_b, lat_b = map(math.radians, (*a, *b))
    h = (
        math.sin((lat_b - lat_a) / 2) ** 2
        + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(h)))


def bearing(a: Site, b: Site) -> float:
    """The direction in which b lies from a: degrees clockwise from north, in [0, 360)."""
    lon_a, lat_a, lon_b, lat_b = map(math.radians, (*a, *b))
    east = math.sin(lon_b - lon_a) * math.cos(lat_b)
    north = math.cos(lat_a) * math.sin(lat_b) - math.sin(lat_a) * math.cos(lat_b) * math.cos(
        lon_b - lon_a
    )
    return math.degrees(math.atan2(east, north)) % 360.0


def neighbours(
    stations: Sequence[str],
    sites: Mapping[str, Site],
    radius_km: float,
    upwind_from: Optional[float] = None,
    sharpness: float = 2.0,
) -> List[Links]:
    """For each station its neighbours, weighted by exp(-(distance / radius)^2).

    Neighbours beyond two radii, or of little weight, are left out. With upwind_from (the direction
    the air comes from, in degrees) those on that side weigh more, by exp(sharpness * cos(angle)). A
    station without coordinates, or alone within two radii, has no neighbours.
    """
    result: List[Links] = []
    for name in stations:
        here = sites.get(name)
        links: Links = []
        if here is not None:
            for other, label in enumerate(stations):
                there = sites.get(label)
                if there is None or label == name:
                    continue
                distance = distance_km(here, there)
                if distance > 2.0 * radius_km:
                    continue
                weight = math.exp(-((distance / radius_km) ** 2))
                if upwind_from is not None:
                    angle = math.radians(bearing(here, there) - upwind_from)
                    weight *= math.exp(sharpness * math.cos(angle))
                links.append((other, weight))
        least = LEAST_SHARE * max((weight for _, weight in links), default=0.0)
        links = [link for link in links if link[1] >= least]
        total = sum(weight for _, weight in links)
        result.append([(other, weight / total) for other, weight in links])
    return result


def means(links: Sequence[Links], values: Sequence[float], fallback: float) -> List[float]:
    """The weighted mean over each station's neighbours; the fallback where there are none."""
    return [
        sum([weight * values[other] for other, weight in row]) if row else fallback
        for row in links
    ]
