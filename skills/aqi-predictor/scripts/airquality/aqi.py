"""The US EPA air quality index as a piecewise-linear scale.

One convention holds everywhere in this skill: concentrations are not truncated, values between
two breakpoints are interpolated (also between the end of one category and the start of the next),
and values outside the table take the index of its nearest end.
Breakpoints: 40 CFR part 58, appendix G (PM10 24 h; ozone 8 h in the form of 2015).
"""
from __future__ import annotations

import bisect
from typing import Sequence, Tuple

Point = Tuple[float, float]

#: Daily mean PM10 in micrograms per cubic metre -> AQI.
PM10_POINTS: Tuple[Point, ...] = (
    (0, 0), (54, 50), (55, 51), (154, 100), (155, 101), (254, 150), (255, 151),
    (354, 200), (355, 201), (424, 300), (425, 301), (604, 500),
)

#: Daily 8-hour ozone in parts per billion -> AQI. The 8-hour scale ends at 200 ppb.
OZONE_POINTS: Tuple[Point, ...] = (
    (0, 0), (54, 50), (55, 51), (70, 100), (71, 101), (85, 150), (86, 151),
    (105, 200), (106, 201), (200, 300),
)

CATEGORIES: Tuple[Tuple[float, str], ...] = (
    (50, "good"), (100, "moderate"), (150, "unhealthy for sensitive groups"),
    (200, "unhealthy"), (300, "very unhealthy"),
)


class Scale:
    """Maps a concentration to an index and back along a rising polyline."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._x = [float(x) for x, _ in points]
        self._y = [float(y) for _, y in points]
        if len(points) < 2 or self._x != sorted(set(self._x)) or self._y != sorted(set(self._y)):
            raise ValueError("a scale needs at least two points that rise in both columns")

    def index(self, concentration: float) -> float:
        """The index of a concentration; never outside the ends of the table."""
        return _interpolate(self._x, self._y, concentration)

    def concentration(self, index: float) -> float:
        """The concentration that has this index."""
        return _interpolate(self._y, self._x, index)


def _interpolate(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    if x <= xs[0]:
        return ys[0]
    if x >= xs[-1]:
        return ys[-1]
    right = bisect.bisect_right(xs, x)
    x0, x1, y0, y1 = xs[right - 1], xs[right], ys[right - 1], ys[right]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def category(index: float) -> str:
    """The name of the AQI category of an index, rounded as the index is published."""
    for upper, name in CATEGORIES:
        if round(index) <= upper:
            return name
    return "hazardous"
