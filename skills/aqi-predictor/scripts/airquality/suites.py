"""What the suites of experiment.yaml are made of: files, scale, splits."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple

from airquality.aqi import OZONE_POINTS, PM10_POINTS, Point


@dataclass(frozen=True)
class Suite:
    """One set of data with its way to turn a measurement into the number to predict."""

    name: str
    about: str
    values: str  # path of the measurements, from the skill's root
    sites: str  # path of the coordinates
    transform: str
    points: Tuple[Point, ...]
    splits: Tuple[Tuple[str, str, str], ...]  # split, first target day, last target day
    default: bool = False


SUITES: Dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="aqi-de",
            about="Next-day AQI of PM10 at 33 rural stations in Germany, 2003 to 2008.",
            values="assets/aqi-de/pm10-daily-2003-2008.csv",
            sites="assets/aqi-de/stations.csv",
            transform="pm10-to-us-epa-aqi",
            points=PM10_POINTS,
            splits=(
                ("search", "2006-01-01", "2006-12-31"),
                ("select", "2007-01-01", "2007-12-31"),
                ("sealed", "2008-01-01", "2008-12-31"),
            ),
            default=True,
        ),
        Suite(
            name="ozone-50",
            about="Next-day AQI of ozone at 50 sites of the US Midwest, summer of 1987.",
            values="assets/ozone-50/ozone-daily-1987.csv",
            sites="assets/ozone-50/ozone-sites.csv",
            transform="ozone-8h-to-us-epa-aqi",
            points=OZONE_POINTS,
            splits=(
                ("search", "1987-07-02", "1987-07-21"),
                ("select", "1987-07-22", "1987-08-10"),
                ("sealed", "1987-08-11", "1987-08-31"),
            ),
        ),
    )
}


def suite_named(name: str) -> Suite:
    """The suite of that name; an unknown name is read as PM10, the default suite."""
    return SUITES.get(name, SUITES["aqi-de"])
