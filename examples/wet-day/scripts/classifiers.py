"""Ways to tell a wet day from a dry one by temperature and wind."""
from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

WET, DRY = "wet", "dry"


class Day(NamedTuple):
    """One day as numbers. `label` is wet, dry, or empty where it is asked for."""

    month: int
    features: Tuple[float, ...]  # of FEATURES
    label: str = ""


FEATURES = ("temp_max", "range", "wind", "rise", "fall", "summer", "spring")


def day_of(row: Mapping[str, Any], label: str = "") -> Day:
    """A day from a row of the table or the input of a case."""
    date = str(row["date"])
    month = int(date[5:7])
    high, low = float(row["temp_max"]), float(row["temp_min"])
    angle = 2.0 * math.pi * ((month - 1) * 30.4 + int(date[8:10])) / 365.0
    features = (
        high, high - low, float(row["wind"]), high - float(row["temp_max_before"]),
        high - float(row["temp_max_after"]), -math.cos(angle), math.sin(angle),
    )
    if not all(map(math.isfinite, features)):
        raise ValueError(f"the day {date} has a value that is not finite")
    return Day(month, features, label)


class Classifier:
    """Learns from labelled days; `chance` is the probability that a day is wet."""

    #: Names and defaults of the parameters, as experiment.yaml declares them.
    defaults: Dict[str, Any] = {}

    def __init__(self, params: Mapping[str, Any]) -> None:
        unknown = sorted(set(params) - set(self.defaults))
        if unknown:
            raise ValueError(f"there is no parameter {unknown[0]}")
        self.params = {**self.defaults, **params}

    def fit(self, days: Sequence[Day]) -> None:
        raise NotImplementedError

    def chance(self, day: Day) -> float:
        raise NotImplementedError


class Monthly(Classifier):
    """The share of wet days in the months around."""

    defaults = {"months": 0}

    def fit(self, days: Sequence[Day]) -> None:
        self._days = days

    def chance(self, day: Day) -> float:
        near = [other for other in self._days if months_apart(day, other) <= self.params["months"]]
        return (sum(other.label == WET for other in near) + 1.0) / (len(near) + 2.0)


class RangeRule(Classifier):
    """Clouds keep the nights warm and the days cool: a small daily range means rain."""

    defaults = {"threshold": 6.0}

    def fit(self, days: Sequence[Day]) -> None:
        """The rule is given, nothing is learned."""

    def chance(self, day: Day) -> float:
        excess = day.features[FEATURES.index("range")] - self.params["threshold"]
        return 1.0 / (1.0 + math.exp(min(excess, 50.0)))


class NaiveBayes(Classifier):
    """Gaussian naive Bayes, on the days of the months around."""

    defaults = {"months": 2, "spread": 1.0}

    def fit(self, days: Sequence[Day]) -> None:
        self._tables: Dict[int, List[Tuple[float, List[Tuple[float, float]]]]] = {}
        for month in range(1, 13):
            here = Day(month, ())
            near = [day for day in days if months_apart(day, here) <= self.params["months"]]
            tables = []
            for label in (DRY, WET):
                rows = [day.features for day in near if day.label == label] or [days[0].features]
                columns = [mean_and_deviation(column) for column in zip(*rows)]
                tables.append((math.log((len(rows) + 1.0) / (len(near) + 2.0)), columns))
            self._tables[month] = tables

    def chance(self, day: Day) -> float:
        scores = []
        for prior, columns in self._tables[day.month]:
            score = prior
            for value, (mean, deviation) in zip(day.features[:5], columns):
                width = self.params["spread"] * deviation
                score -= 0.5 * ((value - mean) / width) ** 2 + math.log(width)
            scores.append(score)
        return logistic(scores[1] - scores[0])


class Logistic(Classifier):
    """Logistic regression on standardised features and, if wanted, their squares."""

    defaults = {"penalty": 1.0, "squares": False}

    def fit(self, days: Sequence[Day]) -> None:
        self._scales = [mean_and_deviation(column) for column in zip(*(d.features for d in days))]
        rows = [self._row(day) for day in days]
        labels = [float(day.label == WET) for day in days]
        self._weights = [0.0] * len(rows[0])
        step = 4.0 / len(rows[0])  # below the inverse of the steepest curvature, so it converges
        for _ in range(300):
            gradient = [self.params["penalty"] * w / len(rows) for w in self._weights]
            gradient[0] = 0.0
            for row, label in zip(rows, labels):
                miss = (logistic(dot(self._weights, row)) - label) / len(rows)
                gradient = [g + miss * x for g, x in zip(gradient, row)]
            self._weights = [w - step * g for w, g in zip(self._weights, gradient)]

    def chance(self, day: Day) -> float:
        return logistic(dot(self._weights, self._row(day)))

    def _row(self, day: Day) -> List[float]:
        scaled = [(v - mean) / dev for v, (mean, dev) in zip(day.features, self._scales)]
        scaled = [max(-4.0, min(4.0, value)) for value in scaled]
        squares = [value * value - 1.0 for value in scaled[:5]] if self.params["squares"] else []
        return [1.0, *scaled, *squares]


class Nearest(Classifier):
    """The share of wet days among the most similar ones."""

    defaults = {"count": 5, "season": 0.3}

    def fit(self, days: Sequence[Day]) -> None:
        self._scales = [mean_and_deviation(column) for column in zip(*(d.features for d in days))]
        self._known = [(self._place(day), day.label == WET) for day in days]

    def chance(self, day: Day) -> float:
        here = self._place(day)
        ranked = sorted(
            (sum([(a - b) * (a - b) for a, b in zip(here, place)]), wet)
            for place, wet in self._known
        )
        count = min(int(self.params["count"]), len(ranked))
        return sum(wet for _, wet in ranked[:count]) / count

    def _place(self, day: Day) -> List[float]:
        scaled = [(v - mean) / dev for v, (mean, dev) in zip(day.features, self._scales)]
        return scaled[:5] + [self.params["season"] * value for value in scaled[5:]]


class Vote(Classifier):
    """The mean chance of its members, or the vote of their majority."""

    defaults = {"combine": "mean"}

    def __init__(self, params: Mapping[str, Any], members: Sequence[Classifier]) -> None:
        super().__init__(params)
        self._members = members

    def fit(self, days: Sequence[Day]) -> None:
        for member in self._members:
            member.fit(days)

    def chance(self, day: Day) -> float:
        chances = [member.chance(day) for member in self._members]
        if self.params["combine"] == "majority":
            chances = [float(chance > 0.5) for chance in chances]
        return sum(chances) / len(chances)


PLAIN = {
    "monthly": Monthly, "range-rule": RangeRule, "naive-bayes": NaiveBayes, "nearest": Nearest,
    "logistic": Logistic,
}
DEFAULT_MEMBERS = ("range-rule", "naive-bayes", "nearest")


def build(request: Mapping[str, Any]) -> Classifier:
    """The classifier that a request {"strategy", "params", "members"} names."""
    name, params = request.get("strategy", "logistic"), request.get("params") or {}
    if name == "vote":
        members = request.get("members") or [{"strategy": member} for member in DEFAULT_MEMBERS]
        if any(member.get("strategy") not in PLAIN for member in members):
            raise ValueError(f"members of a vote must be among {', '.join(PLAIN)}")
        return Vote(params, [build(member) for member in members])
    if name not in PLAIN:
        raise ValueError(f"there is no strategy {name!r}; there are {', '.join(PLAIN)} and vote")
    return PLAIN[name](params)


def months_apart(a: Day, b: Day) -> int:
    apart = abs(a.month - b.month)
    return min(apart, 12 - apart)


def mean_and_deviation(column: Sequence[float]) -> Tuple[float, float]:
    """Mean and standard deviation, the latter never so small that it could not be divided by."""
    mean = sum(column) / len(column)
    variance = sum((value - mean) ** 2 for value in column) / len(column)
    return mean, max(math.sqrt(variance), 1e-3)


def logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, x))))


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum([x * y for x, y in zip(a, b)])
