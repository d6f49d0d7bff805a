"""Strategies that need no fitting: rules of thumb with a few numbers in them."""
from __future__ import annotations

from airquality.panel import TRANSFORMS, backward, forward
from strategies.base import Param, Strategy, last_measured


class Persistence(Strategy):
    """Tomorrow is like today: the reference that every other strategy has to beat."""

    name = "persistence"
    summary = "Tomorrow equals today."
    dimensions = {"data": "own station, today", "reasoning": "direct", "algorithm": "heuristic"}
    params = (Param("max_age", "int", 7, 0, 30),)

    def predict(self, station: int, day: int) -> float:
        value = last_measured(self.panel, station, day, self.values["max_age"])
        if value is not None:
            return value
        view = self.panel.view("log")
        return backward("log", view.filled[station][day])


class Blend(Strategy):
    """Today, pulled towards the station's recent mean."""

    name = "blend"
    summary = "A weighted mean of today and the mean of the last days."
    dimensions = {
        "data": "own station, recent days", "reasoning": "direct", "algorithm": "heuristic",
    }
    params = (
        Param("weight", "float", 0.8, 0.0, 1.0),
        Param("window", "int", 14, 2, 60),
        Param("transform", "choice", "lin", options=TRANSFORMS),
    )

    def predict(self, station: int, day: int) -> float:
        transform = self.values["transform"]
        view = self.panel.view(transform)
        today = last_measured(self.panel, station, day, 0)
        level = view.filled[station][day] if today is None else forward(transform, today)
        mean = view.window_mean(station, day, self.values["window"])
        weight = self.values["weight"]
        return backward(transform, weight * level + (1.0 - weight) * mean)
