"""Strategies that learn a linear rule from all past days and refit it as days go by."""
from __future__ import annotations

from operator import mul
from typing import Any, Dict, List, Mapping, Optional, Tuple

from airquality.geo import Links, means, neighbours
from airquality.panel import TRANSFORMS, View, backward
from strategies.base import Context, Param, Strategy
from strategies.features import SEASON_DAYS, WINDOWS, StationFeatures
from strategies.linear import Moments, Row

#: Days of the history that are left out of the fit because running means are still settling.
LEAD_IN_DAYS = 30
#: Days whose rows are held in memory at a time.
BATCH_DAYS = 120

#: A group with fewer rows than that is predicted with the coefficients of all.
LEAST_ROWS_PER_COLUMN = 20

#: Rows with their weights, by group.
Batches = Dict[Any, Tuple[List[Row], Row]]


class LinearStrategy(Strategy):
    """Base: tomorrow's value on the transformed scale is linear in the features of today.

    Subclasses say what the features are. Rows are kept as moments, so adding a day and refitting
    cost little.
    """

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self.transform: str = self.values.get("transform", "log")
        self.view: View = self.panel.view(self.transform)
        self.ridge: float = self.values.get("ridge", 1.0)
        self.level_weight: float = self.values.get("level_weight", 0.0)
        self.half_life: float = self.values.get("half_life", 0.0)  # days; 0: never forget
        self.refit_days = 7 if self.panel.days >= SEASON_DAYS else 1
        self._moments: Dict[Any, Moments] = {}
        self._fits: Dict[Any, Optional[Row]] = {}
        self._fitted_on: Optional[int] = None
        self._rows: Tuple[int, List[Row]] = (-1, [])

    def features(self, day: int) -> List[Row]:
        """One row of features a station, all of the same length, always finite."""
        raise NotImplementedError

    def group(self, station: int) -> Any:
        """Stations of one group share their coefficients."""
        return None

    def fit(self) -> None:
        last = self.panel.days - 2
        first = min(LEAD_IN_DAYS, last // 4)
        batches: Batches = {}
        for day in range(max(first, 0), last + 1):
            self._collect(day, batches)
            if day % BATCH_DAYS == 0:
                self._store(batches)
                batches = {}
        self._store(batches)
        self._refit(self.panel.days - 1)

    def learn(self, day: int) -> None:
        if day < 1:
            return
        batches: Batches = {}
        self._collect(day - 1, batches)
        self._store(batches)
        if self._fitted_on is None or day - self._fitted_on >= self.refit_days:
            self._refit(day)

    def predict(self, station: int, day: int) -> float:
        coefficients = self._fits.get(self.group(station)) or self._fits.get(None)
        if coefficients is None:  # too little history to learn from: as persistence does
            return backward(self.transform, self.view.filled[station][day])
        if self._rows[0] != day or len(self._rows[1]) <= station:
            self._rows = (day, self.features(day))
        row = self._rows[1][station]
        return backward(self.transform, coefficients[0] + sum(map(mul, coefficients[1:], row)))

    def _collect(self, day: int, batches: Batches) -> None:
        """Add the pairs (features of day, value of day + 1) of the stations that have both."""
        raw, filled = self.panel.raw, self.view.filled
        rows = self.features(day)
        growth = 2.0 ** (day / self.half_life) if self.half_life else 1.0
        for station, row in enumerate(rows):
            series = raw[station]
            today, target = series[day], series[day + 1]
            if today != today or target != target:
                continue
            weight = growth
            if self.level_weight:
                weight *= (1.0 + today) ** self.level_weight
            batch = batches.setdefault(self.group(station), ([], []))
            batch[0].append([1.0, *row, filled[station][day + 1]])
            batch[1].append(weight)

    def _store(self, batches: Batches) -> None:
        weighted = bool(self.level_weight or self.half_life)
        for key, (rows, weights) in batches.items():
            moments = self._moments.get(key)
            if moments is None:
                moments = self._moments[key] = Moments(len(rows[0]))
            moments.add(list(zip(*rows)), weights if weighted else None)

    def _refit(self, day: int) -> None:
        self._fitted_on = day
        self._fits = {}
        pool: Optional[Moments] = None
        for group, moments in self._moments.items():
            if pool is None:
                pool = Moments(moments.width)
            pool.merge(moments)
            if group is None or moments.count >= LEAST_ROWS_PER_COLUMN * moments.width:
                self._fits[group] = moments.solve(self.ridge)
        if pool is not None and None not in self._moments:
            self._fits[None] = pool.solve(self.ridge)  # for groups with too few rows of their own


class Autoregression(LinearStrategy):
    """Tomorrow from the last days of the same station."""

    name = "ar"
    summary = "Autoregression on the last days of the station, fitted on all past days."
    dimensions = {
        "data": "own station, last days", "reasoning": "fitted rule", "algorithm": "regression",
    }
    params = (
        Param("lags", "int", 1, 1, 14),
        Param("transform", "choice", "log", options=TRANSFORMS),
        Param("ridge", "log", 1.0, 0.01, 10000.0),
        Param("scope", "choice", "pooled", options=("pooled", "station")),
    )

    def group(self, station: int) -> Any:
        return station if self.values["scope"] == "station" else None

    def features(self, day: int) -> List[Row]:
        start = day - self.values["lags"] + 1
        if start >= 0:
            return [series[start : day + 1] for series in self.view.filled]
        return [[series[0]] * -start + series[: day + 1] for series in self.view.filled]


class Neighbours(LinearStrategy):
    """Tomorrow from today here and from today at the stations around, upwind ones first."""

    name = "neighbours"
    summary = "Today here and at the stations around; those upwind count on their own if wanted."
    dimensions = {
        "data": "own and surrounding stations", "reasoning": "fitted rule",
        "algorithm": "spatial regression",
    }
    params = (
        Param("radius_km", "float", 150.0, 30.0, 500.0),
        Param("upwind", "bool", False),
        Param("upwind_from", "angle", 270.0, when=("upwind", True)),
        Param("lags", "int", 1, 1, 7),
        Param("transform", "choice", "log", options=TRANSFORMS),
        Param("ridge", "log", 1.0, 0.01, 10000.0),
    )

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self._links: List[List[Links]] = [[]]

    def features(self, day: int) -> List[Row]:
        view = self.view
        if len(self._links[0]) != len(view.filled):
            self._place()
        columns = [[mean[day] for mean in view.means]]
        for back in range(self.values["lags"]):
            past = max(0, day - back)
            columns.append([series[past] for series in view.filled])
        anomalies = [
            series[day] - mean[day] for series, mean in zip(view.filled, view.means)
        ]
        for links in self._links:
            columns.append(means(links, anomalies, view.region[day]))
        return [list(row) for row in zip(*columns)]

    def _place(self) -> None:
        stations, sites = self.panel.stations, self.context.sites
        radius = self.values["radius_km"]
        self._links = [neighbours(stations, sites, radius)]
        if self.values["upwind"]:
            wind = self.values["upwind_from"]
            self._links.append(neighbours(stations, sites, 2.0 * radius, upwind_from=wind))


class RidgeWindows(LinearStrategy):
    """Many features of several time scales and places, held in check by a ridge penalty."""

    name = "ridge-windows"
    summary = "Ridge regression on means over several windows, neighbours, region and calendar."
    dimensions = {
        "data": "all stations, several time scales, calendar", "reasoning": "fitted rule",
        "algorithm": "ridge regression",
    }
    params = (
        Param("windows", "choice", "medium", options=tuple(WINDOWS)),
        Param("radius_km", "float", 150.0, 30.0, 500.0),
        Param("sectors", "bool", False),
        Param("calendar", "bool", True),
        Param("ridge", "log", 10.0, 0.01, 10000.0),
        Param("level_weight", "float", 0.0, 0.0, 2.0),
        Param("half_life", "log", 5000.0, 100.0, 5000.0),
    )

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self._features = StationFeatures(
            context, self.view, WINDOWS[self.values["windows"]], self.values["radius_km"],
            sectors=self.values["sectors"], calendar=self.values["calendar"],
        )

    def features(self, day: int) -> List[Row]:
        return self._features.rows(day)
