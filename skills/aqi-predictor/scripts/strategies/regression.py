"""Strategies that learn a linear rule from all past days and refit it as days go by."""
from __future__ import annotations

import datetime
import math
from operator import mul
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from airquality.panel import TRANSFORMS, View, backward
from strategies.base import Context, Param, Strategy
from strategies.linear import Moments, Row

#: Days of the history that are left out of the fit because running means are still settling.
LEAD_IN_DAYS = 30


class LinearStrategy(Strategy):
    """Base: tomorrow's value on the transformed scale is linear in the features of today.

    Subclasses say what the features are. Rows are kept as moments, one set for each calendar month
    if the season counts, so adding a day and refitting cost little.
    """

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self.transform: str = self.values.get("transform", "log")
        self.view: View = self.panel.view(self.transform)
        self.ridge: float = self.values.get("ridge", 1.0)
        self.level_weight: float = self.values.get("level_weight", 0.0)
        self.half_life: float = self.values.get("half_life", 0.0)  # days; 0: never forget
        self.season_width: float = self.values.get("season_width", 0.0)  # months; 0: all alike
        self.refit_days = 7
        self._moments: Dict[Tuple[Any, int], Moments] = {}
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
        batches: Dict[Tuple[Any, int], Tuple[List[Row], Row]] = {}
        for day in range(max(first, 0), last + 1):
            self._collect(day, batches)
        self._store(batches)
        self._refit(self.panel.days - 1)

    def learn(self, day: int) -> None:
        if day < 1:
            return
        batches: Dict[Tuple[Any, int], Tuple[List[Row], Row]] = {}
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

    def _collect(self, day: int, batches: Dict[Tuple[Any, int], Tuple[List[Row], Row]]) -> None:
        """Add the pairs (features of day, value of day + 1) of the stations that have both."""
        raw, filled = self.panel.raw, self.view.filled
        rows = self.features(day)
        month = self._month(day + 1) if self.season_width else 0
        growth = 2.0 ** (day / self.half_life) if self.half_life else 1.0
        for station, row in enumerate(rows):
            series = raw[station]
            today, target = series[day], series[day + 1]
            if today != today or target != target:
                continue
            weight = growth
            if self.level_weight:
                weight *= (1.0 + today) ** self.level_weight
            key = (self.group(station), month)
            batch = batches.get(key)
            if batch is None:
                batch = batches[key] = ([], [])
            batch[0].append([1.0, *row, filled[station][day + 1]])
            batch[1].append(weight)

    def _store(self, batches: Dict[Tuple[Any, int], Tuple[List[Row], Row]]) -> None:
        weighted = bool(self.level_weight or self.half_life)
        for key, (rows, weights) in batches.items():
            moments = self._moments.get(key)
            if moments is None:
                moments = self._moments[key] = Moments(len(rows[0]))
            moments.add(list(zip(*rows)), weights if weighted else None)

    def _month(self, day: int) -> int:
        return datetime.date.fromordinal(self.panel.first + day).month

    def _refit(self, day: int) -> None:
        self._fitted_on = day
        self._fits = {}
        groups = sorted({group for group, _ in self._moments if group is not None}, key=str)
        for group in [None, *groups]:
            total = self._total(
                (key, moments)
                for key, moments in self._moments.items()
                if group is None or key[0] == group
            )
            if total is not None and self._enough(group, total):
                self._fits[group] = total.solve(self.ridge)

    def _total(self, parts: Iterable[Tuple[Tuple[Any, int], Moments]]) -> Optional[Moments]:
        """The sum of parts, months near the coming one counting most if the season counts."""
        now = self._month(self.panel.days) if self.season_width else 0
        total: Optional[Moments] = None
        for (_, month), moments in parts:
            factor = 1.0
            if self.season_width:
                apart = abs(month - now)
                apart = min(apart, 12 - apart)
                factor = math.exp(-0.5 * (apart / self.season_width) ** 2)
            if total is None:
                total = Moments(moments.width)
            total.merge(moments, factor)
        return total

    def _enough(self, group: Any, total: Moments) -> bool:
        """Whether a group of its own has rows enough; the pool of all always does."""
        return group is None or total.count >= 20.0 * total.width


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
