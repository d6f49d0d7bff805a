"""Gradient boosting of small trees, in plain Python."""
from __future__ import annotations

import bisect
import math
import random
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from airquality.panel import backward
from strategies.base import Context, Param, Strategy
from strategies.features import WINDOWS, StationFeatures
from strategies.linear import Moments, Row

BINS = 24  # a feature is cut at this many quantiles at most
MOST_ROWS = 8000  # rows that are learned from; a longer history is thinned by whole days
SAMPLE_ROWS = 1500  # rows that one tree looks at to choose its cuts
LEAST_ROWS = 200
LEAD_IN_DAYS = 30
REFIT_GROWTH = 1.5  # fitted anew when the history has grown by this factor
LEAF_PRIOR = 50.0


class Tree(NamedTuple):
    """The same cut on every branch of a level, so a leaf is found by its bits."""

    cuts: Tuple[Tuple[int, float], ...]  # (feature, threshold), first level first
    leaves: Tuple[float, ...]

    def value(self, row: Row) -> float:
        leaf = 0
        for feature, threshold in self.cuts:
            leaf = 2 * leaf + (row[feature] > threshold)
        return self.leaves[leaf]


class Booster:
    """Squared-error boosting (Friedman, 2001) of symmetric trees, with subsampling (2002)."""

    def __init__(self, trees: int, depth: int, rate: float, share: float, seed: int) -> None:
        self.trees: List[Tree] = []
        self._count = trees
        self._depth = depth
        self._rate = rate
        self._share = share
        self._random = random.Random(seed)

    def fit(self, rows: Sequence[Row], errors: Row, weights: Row) -> None:
        """Learn to predict the errors from the rows."""
        thresholds = [_quantiles(column) for column in zip(*rows)]
        binned = [
            [bisect.bisect_left(cuts, value) for value in column]
            for cuts, column in zip(thresholds, zip(*rows))
        ]
        usable = [feature for feature, cuts in enumerate(thresholds) if cuts]
        errors = list(errors)
        sample_size = min(SAMPLE_ROWS, len(rows))
        self.trees = []
        for _ in range(self._count if usable else 0):
            sample = self._random.sample(range(len(rows)), sample_size)
            count = max(1, round(self._share * len(usable)))
            features = sorted(self._random.sample(usable, count))
            cuts = self._grow(binned, errors, weights, sample, features)
            if not cuts:
                continue
            leaf_of = [0] * len(rows)
            for feature, bin_number in cuts:
                column = binned[feature]
                leaf_of = [2 * leaf + (b > bin_number) for leaf, b in zip(leaf_of, column)]
            leaves = self._leaves(leaf_of, errors, weights, len(cuts))
            errors = [error - leaves[leaf] for error, leaf in zip(errors, leaf_of)]
            named = tuple((feature, thresholds[feature][number]) for feature, number in cuts)
            self.trees.append(Tree(named, tuple(leaves)))

    def value(self, row: Row) -> float:
        """The predicted error of a row."""
        return sum([tree.value(row) for tree in self.trees])

    def _grow(
        self, binned: Sequence[Sequence[int]], errors: Row, weights: Row,
        sample: Sequence[int], features: Sequence[int],
    ) -> List[Tuple[int, int]]:
        """The cuts, (feature, last bin of the left side), that lower the squared error most."""
        weight = [weights[i] for i in sample]
        pull = [weights[i] * errors[i] for i in sample]
        prior = LEAF_PRIOR * sum(weight) / len(weight)
        base = [0] * len(sample)  # leaf number times BINS
        cuts: List[Tuple[int, int]] = []
        for level in range(self._depth):
            best: Optional[Tuple[float, int, int]] = None
            for feature in features:
                column = binned[feature]
                size = BINS << level
                pulls, mass = [0.0] * size, [0.0] * size
                for i, leaf, p, w in zip(sample, base, pull, weight):
                    slot = leaf + column[i]
                    pulls[slot] += p
                    mass[slot] += w
                found = _best_cut(pulls, mass, prior)
                if found and (best is None or found[0] > best[0]):
                    best = (found[0], feature, found[1])
            if best is None:
                break
            cuts.append((best[1], best[2]))
            column = binned[best[1]]
            base = [2 * leaf + BINS * (column[i] > best[2]) for i, leaf in zip(sample, base)]
        return cuts

    def _leaves(self, leaf_of: Sequence[int], errors: Row, weights: Row, levels: int) -> Row:
        """Shrunken mean error of each leaf, times the learning rate."""
        size = 1 << levels
        pulls, mass = [0.0] * size, [0.0] * size
        for leaf, error, weight in zip(leaf_of, errors, weights):
            pulls[leaf] += weight * error
            mass[leaf] += weight
        prior = LEAF_PRIOR * sum(weights) / len(weights)
        return [self._rate * p / (m + prior) for p, m in zip(pulls, mass)]


def _quantiles(column: Sequence[float]) -> Row:
    """Up to BINS - 1 rising thresholds; none for a column that does not vary."""
    ordered = sorted(column)
    last = len(ordered) - 1
    marks = {ordered[last * number // BINS] for number in range(1, BINS)}
    marks.discard(ordered[-1])
    return sorted(marks)


def _best_cut(pulls: Row, mass: Row, prior: float) -> Optional[Tuple[float, int]]:
    """(gain, last bin of the left side) of the best cut shared by all leaves of a level."""
    gains = [0.0] * BINS
    for start in range(0, len(pulls), BINS):
        total, weight = sum(pulls[start : start + BINS]), sum(mass[start : start + BINS])
        left = left_weight = 0.0
        unsplit = total * total / (weight + prior)
        for number in range(BINS - 1):
            left += pulls[start + number]
            left_weight += mass[start + number]
            right, right_weight = total - left, weight - left_weight
            gains[number] += (
                left * left / (left_weight + prior)
                + right * right / (right_weight + prior) - unsplit
            )
    best = max(range(BINS - 1), key=gains.__getitem__)
    return (gains[best], best) if gains[best] > 1e-12 else None


class BoostedStumps(Strategy):
    """Small trees correct, one after the other, what a plain start leaves wrong."""

    name = "boosted-stumps"
    summary = "Small boosted trees correct persistence or a first-order autoregression."
    dimensions = {
        "data": "all stations, several time scales, calendar", "reasoning": "by many small rules",
        "algorithm": "gradient boosting",
    }
    params = (
        Param("start", "choice", "persistence", options=("persistence", "ar")),
        Param("trees", "int", 80, 20, 120),
        Param("depth", "int", 1, 1, 3),
        Param("rate", "log", 0.1, 0.02, 0.5),
        Param("share", "float", 0.3, 0.1, 0.5),
        Param("windows", "choice", "medium", options=tuple(WINDOWS)),
        Param("radius_km", "float", 150.0, 30.0, 500.0),
        Param("sectors", "bool", False),
    )

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self.view = self.panel.view("log")
        self._features = StationFeatures(
            context, self.view, WINDOWS[self.values["windows"]], self.values["radius_km"],
            self.values["sectors"], relative=True,
        )
        self._start: Row = [0.0, 1.0]
        self._booster: Optional[Booster] = None
        self._fitted_days = 0
        self._rows: Tuple[int, List[Row]] = (-1, [])

    def fit(self) -> None:
        self._fitted_days = self.panel.days
        rows, levels, targets, weights = self._examples()
        if len(rows) < LEAST_ROWS:
            return
        if self.values["start"] == "ar":
            moments = Moments(3)
            moments.add([[1.0] * len(rows), levels, targets], weights)
            self._start = moments.solve(1.0) or self._start
        errors = [y - self._begin(level) for y, level in zip(targets, levels)]
        self._booster = Booster(
            self.values["trees"], self.values["depth"], self.values["rate"],
            self.values["share"], self.context.seed,
        )
        self._booster.fit(rows, errors, weights)

    def learn(self, day: int) -> None:
        if self.panel.days >= max(LEAD_IN_DAYS, REFIT_GROWTH * self._fitted_days):
            self.fit()

    def predict(self, station: int, day: int) -> float:
        value = self._begin(self.view.filled[station][day])
        if self._booster is not None:
            if self._rows[0] != day or len(self._rows[1]) <= station:
                self._rows = (day, self._features.rows(day))
            value += self._booster.value(self._rows[1][station])
        return backward("log", value)

    def _begin(self, level: float) -> float:
        return self._start[0] + self._start[1] * level

    def _examples(self) -> Tuple[List[Row], Row, Row, Row]:
        """Features, today's levels, tomorrow's levels and weights of past station-days."""
        last = self.panel.days - 2
        first = min(LEAD_IN_DAYS, max(0, last // 4))
        expected = max(0, last - first + 1) * len(self.panel.stations)
        step = 1 + expected // MOST_ROWS
        step += step % 7 == 0  # a step of a week would see one weekday only
        rows: List[Row] = []
        levels: Row = []
        targets: Row = []
        weights: Row = []
        for day in range(first, last + 1, step):
            for station, row in enumerate(self._features.rows(day)):
                today, tomorrow = self.panel.raw[station][day : day + 2]
                if today != today or tomorrow != tomorrow:
                    continue
                rows.append(row)
                levels.append(self.view.filled[station][day])
                targets.append(self.view.filled[station][day + 1])
                weights.append(math.sqrt(1.0 + today))
        return rows, levels, targets, weights
