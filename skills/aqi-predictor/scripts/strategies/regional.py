"""Strategies that split a station's level into parts: usual level, season, region, remainder."""
from __future__ import annotations

import datetime
from operator import mul
from typing import Any, List, Mapping, Optional

from airquality.panel import backward
from strategies.base import Context, Param, Strategy
from strategies.features import SEASON_DAYS, season
from strategies.linear import Moments, Row

#: Shortest history, in days, from which the days of the week can be told apart.
WEEKDAY_DAYS = 60
REFIT_DAYS = 30


class Regional(Strategy):
    """The anomaly of the whole region and that of the station fade at different speeds."""

    name = "regional"
    summary = "The region's mean anomaly and the station's own part fade at different speeds."
    dimensions = {
        "data": "mean of all stations and own station", "reasoning": "decomposition",
        "algorithm": "heuristic",
    }
    params = (
        Param("regional_keep", "float", 0.75, 0.0, 1.0),
        Param("local_keep", "float", 0.75, 0.0, 1.0),
        Param("trend", "float", 0.0, -0.5, 0.5),
    )

    def predict(self, station: int, day: int) -> float:
        view = self.panel.view("log")
        usual = view.means[station][day]
        region = view.region[day]
        change = region - view.region[max(0, day - 1)]
        local = view.filled[station][day] - usual - region
        return backward(
            "log",
            usual + self.values["regional_keep"] * region + self.values["local_keep"] * local
            + self.values["trend"] * change,
        )


class Seasonal(Strategy):
    """The usual level for the time of year and day of the week, plus a share of what is unusual."""

    name = "seasonal"
    summary = "The usual level for season and weekday, plus a share of the present anomaly."
    dimensions = {
        "data": "own station, calendar", "reasoning": "decomposition",
        "algorithm": "climatology",
    }
    params = (
        Param("harmonics", "int", 2, 0, 4),
        Param("weekday", "bool", True),
        Param("keep", "float", 0.6, 0.0, 1.0),
        Param("memory", "int", 1, 1, 14),
    )

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self.view = self.panel.view("log")
        days = self.panel.days
        self._harmonics = self.values["harmonics"] if days >= SEASON_DAYS else 0
        self._weekday = self.values["weekday"] and days >= WEEKDAY_DAYS
        self._moments: Optional[Moments] = None
        self._curve: Optional[Row] = None
        self._levels: List[float] = []  # what is usual on each day, against the yearly mean
        self._fitted_on = 0

    def fit(self) -> None:
        for day in range(self.panel.days):
            self._add(day)
        self._refit(self.panel.days - 1)

    def learn(self, day: int) -> None:
        self._add(day)
        if day - self._fitted_on >= REFIT_DAYS:
            self._refit(day)

    def predict(self, station: int, day: int) -> float:
        usual = self.view.means[station][day]
        series = self.view.filled[station]
        first = max(0, day + 1 - self.values["memory"])
        unusual = [series[past] - usual - self._level(past) for past in range(first, day + 1)]
        kept = self.values["keep"] * sum(unusual) / len(unusual)
        return backward("log", usual + self._level(day + 1) + kept)

    def _row(self, day: int) -> Row:
        date = datetime.date.fromordinal(self.panel.first + day)
        row = season(date, self._harmonics)
        if self._weekday:
            row += [float(date.weekday() == weekday) for weekday in range(6)]
        return row

    def _add(self, day: int) -> None:
        row = [1.0, *self._row(day), self.view.region[day]]
        if self._moments is None:
            self._moments = Moments(len(row))
        self._moments.add([[value] for value in row], None)

    def _refit(self, day: int) -> None:
        self._fitted_on = day
        self._levels = []
        self._curve = self._moments.solve(1.0) if self._moments else None

    def _level(self, day: int) -> float:
        if self._curve is None:
            return 0.0
        levels = self._levels
        while len(levels) <= day:
            row = self._row(len(levels))
            levels.append(self._curve[0] + sum(map(mul, self._curve[1:], row)))
        return levels[day]


class Smoothing(Strategy):
    """Exponential smoothing with a damped trend, station by station."""

    name = "smoothing"
    summary = "Exponential smoothing with a damped trend that leans back to the usual level."
    dimensions = {
        "data": "own station, all past days", "reasoning": "running estimate",
        "algorithm": "exponential smoothing",
    }
    params = (
        Param("alpha", "float", 0.8, 0.05, 1.0),
        Param("trend", "float", 0.05, 0.0, 0.5),
        Param("damping", "float", 0.5, 0.0, 1.0),
        Param("keep", "float", 0.85, 0.0, 1.0),
    )

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self.view = self.panel.view("log")
        self._levels: List[float] = []
        self._slopes: List[float] = []
        self._next = 0  # the first day that is not yet in the levels

    def predict(self, station: int, day: int) -> float:
        self._catch_up(day)
        usual = self.view.means[station][day]
        ahead = self._levels[station] + self.values["damping"] * self._slopes[station]
        return backward("log", usual + self.values["keep"] * (ahead - usual))

    def _catch_up(self, day: int) -> None:
        """Run the recursion (Holt's, with Gardner's damping) over the days since the last call."""
        alpha, beta = self.values["alpha"], self.values["trend"]
        damping = self.values["damping"]
        for station in range(len(self._levels), len(self.view.filled)):
            self._levels.append(self.view.filled[station][max(0, self._next - 1)])
            self._slopes.append(0.0)
        for past in range(self._next, day + 1):
            for station, series in enumerate(self.view.filled):
                level, slope = self._levels[station], self._slopes[station]
                expected = level + damping * slope
                error = series[past] - expected
                self._levels[station] = expected + alpha * error
                self._slopes[station] = damping * slope + alpha * beta * error
        self._next = max(self._next, day + 1)
