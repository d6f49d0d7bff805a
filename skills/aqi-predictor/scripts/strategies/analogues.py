"""Nearest analogues: what happened after the days that looked most like today."""
from __future__ import annotations

import datetime
from typing import Any, List, Mapping, Tuple

from airquality.panel import backward
from strategies.base import Context, Param, Strategy
from strategies.features import SEASON_DAYS, season, zones
from strategies.linear import Row

LEAD_IN_DAYS = 30


class Analogues(Strategy):
    """Looks up the most similar past days of the whole network (Lorenz, 1969: analogue method).

    Days are compared by the mean anomaly of the zones of the network today and on the days before,
    and by season. The station's own difference from its level on the analogue days fades by `keep`.
    """

    name = "analogues"
    summary = "The mean of what followed the past days most similar to today."
    dimensions = {
        "data": "all stations, all past years", "reasoning": "by example",
        "algorithm": "nearest neighbours",
    }
    params = (
        Param("count", "int", 30, 5, 200),
        Param("days", "int", 2, 1, 3),
        Param("season_weight", "float", 0.3, 0.0, 2.0),
        Param("keep", "float", 0.6, 0.0, 1.0),
    )

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self.view = self.panel.view("log")
        self._zones: List[Tuple[int, ...]] = []
        self._columns: List[Row] = []  # the states of all days so far, column by column
        self._known = 0  # days in the columns
        self._seasonal = self.panel.days >= SEASON_DAYS
        self._nearest: Tuple[int, List[int]] = (-1, [])

    def predict(self, station: int, day: int) -> float:
        if self._nearest[0] != day:
            self._nearest = (day, self._search(day))
        series = self.view.filled[station]
        days = self._nearest[1]
        if not days:
            return backward("log", series[day])
        after = sum([series[past + 1] for past in days]) / len(days)
        level = sum([series[past] for past in days]) / len(days)
        return backward("log", after + self.values["keep"] * (series[day] - level))

    def _search(self, day: int) -> List[int]:
        """The past days nearest to `day`; each has a tomorrow that is known on `day`."""
        while self._known <= day:
            state = self._state(self._known)
            if not self._columns:
                self._columns = [[] for _ in state]
            for column, value in zip(self._columns, state):
                column.append(value)
            self._known += 1
        first = min(LEAD_IN_DAYS, day // 4)
        distances = [0.0] * (day - first)
        for column in self._columns:
            here = column[day]
            distances = [
                total + (value - here) * (value - here)
                for total, value in zip(distances, column[first:day])
            ]
        order = sorted(range(len(distances)), key=distances.__getitem__)
        return [first + number for number in order[: self.values["count"]]]

    def _state(self, day: int) -> Row:
        if not self._zones:
            self._zones = zones(self.context)
        view = self.view
        row: Row = []
        for back in range(self.values["days"]):
            past = max(0, day - back)
            for zone in self._zones:
                total = sum([view.filled[s][past] - view.means[s][past] for s in zone])
                row.append(total / max(1, len(zone)) * 0.7**back)
        if self._seasonal:
            weight = self.values["season_weight"]
            date = datetime.date.fromordinal(self.panel.first + day)
            row += [weight * value for value in season(date, 1)]
        return row
