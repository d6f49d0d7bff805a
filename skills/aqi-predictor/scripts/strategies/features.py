"""What is known today about every station, as rows of numbers for learners."""
from __future__ import annotations

import datetime
import math
from operator import sub
from typing import List, Sequence, Tuple

from airquality.geo import Links, means, neighbours
from airquality.panel import View
from strategies.base import Context
from strategies.linear import Row

#: Named sets of window lengths in days.
WINDOWS = {"short": (3, 7), "medium": (3, 7, 30), "long": (2, 4, 7, 14, 30, 90)}
#: A history shorter than this says nothing of the seasons.
SEASON_DAYS = 400
COMPASS = (0.0, 90.0, 180.0, 270.0)


class StationFeatures:
    """Rows of features: own last days, means over windows, neighbours, region, calendar.

    Levels are anomalies against the station's mean so far; all but today's own can be given as
    differences from it, which suits learners that cut one feature at a time. All values are finite,
    and depend on the given day and earlier ones only.
    """

    def __init__(
        self, context: Context, view: View, windows: Sequence[int], radius_km: float,
        sectors: bool = False, calendar: bool = False, relative: bool = False,
    ) -> None:
        self.context = context
        self.view = view
        self.windows = tuple(windows)
        self.radius_km = radius_km
        self.sectors = COMPASS if sectors else ()
        self.calendar = calendar
        self.relative = relative
        self.seasons = context.panel.days >= SEASON_DAYS
        self._near: List[Links] = []
        self._sides: List[List[Links]] = []

    def rows(self, day: int) -> List[Row]:
        """One row a station for that day; more stations later do not change the row's length."""
        view = self.view
        if len(self._near) != len(view.filled):
            self._place()
        today, *columns = self._own(day)
        region, *common = self._regional(day)
        before = columns[0]
        columns.append(means(self._near, today, region))
        columns.append(means(self._near, before, common[0]))
        for side in self._sides:
            columns.append(means(side, today, region))
        common.insert(0, region)
        columns += [[value] * len(today) for value in common]
        if self.relative:
            columns = [list(map(sub, column, today)) for column in columns]
        usual = [mean[day] for mean in view.means]
        calendar = self._calendar(day + 1) if self.calendar else []
        return [[*row, *calendar] for row in zip(today, usual, *columns)]

    def _own(self, day: int) -> List[Row]:
        """Today, the two days before and the windows, a column each, over all stations."""
        view = self.view
        columns = []
        for back in range(3):
            past = max(0, day - back)
            columns.append([
                series[past] - mean[day] for series, mean in zip(view.filled, view.means)
            ])
        for window in self.windows:
            start = max(0, day + 1 - window)
            length = day + 1 - start
            columns.append([
                (sums[day + 1] - sums[start]) / length - mean[day]
                for sums, mean in zip(view.prefix, view.means)
            ])
        return columns

    def _regional(self, day: int) -> Row:
        """The region's anomaly today, yesterday and over the windows."""
        region = self.view.region
        row = [region[day], region[max(0, day - 1)]]
        for window in self.windows:
            recent = region[max(0, day + 1 - window) : day + 1]
            row.append(sum(recent) / len(recent))
        return row

    def _place(self) -> None:
        stations, sites = self.context.panel.stations, self.context.sites
        self._near = neighbours(stations, sites, self.radius_km)
        self._sides = [
            neighbours(stations, sites, 2.0 * self.radius_km, upwind_from=side, sharpness=4.0)
            for side in self.sectors
        ]

    def _calendar(self, day: int) -> Row:
        date = datetime.date.fromordinal(self.context.panel.first + day)
        weekday = date.weekday()
        row = [float(weekday == 5), float(weekday == 6), float(weekday == 0)]
        if self.seasons:
            row += season(date, 2)
        return row


def season(date: datetime.date, harmonics: int) -> Row:
    """Sines and cosines of the position in the year."""
    angle = 2.0 * math.pi * (date.timetuple().tm_yday - 1) / 365.25
    row: List[float] = []
    for order in range(1, harmonics + 1):
        row += [math.sin(order * angle), math.cos(order * angle)]
    return row


def zones(context: Context) -> List[Tuple[int, ...]]:
    """The stations in up to four quarters around their middle; one zone where places are unknown."""
    placed = [
        (number, context.sites[name])
        for number, name in enumerate(context.panel.stations) if name in context.sites
    ]
    if len(placed) < 8:
        return [tuple(range(len(context.panel.stations)))]
    lon = sorted(site[0] for _, site in placed)[len(placed) // 2]
    lat = sorted(site[1] for _, site in placed)[len(placed) // 2]
    quarters: List[List[int]] = [[], [], [], []]
    for number, site in placed:
        quarters[2 * (site[0] >= lon) + (site[1] >= lat)].append(number)
    return [tuple(quarter) for quarter in quarters if quarter]
