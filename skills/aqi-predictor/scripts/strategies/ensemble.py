"""Several strategies answer; their answers are combined."""
from __future__ import annotations

import math
import statistics
from typing import Any, Callable, ClassVar, Dict, List, Mapping, Sequence, Tuple

from strategies.base import Context, Param, ParameterError, Strategy

Builder = Callable[[Context, str, Mapping[str, Any]], Strategy]

#: Members of an ensemble that names none.
DEFAULT_MEMBERS = ("ar", "neighbours", "analogues")
FEWEST, MOST = 2, 5


class Ensemble(Strategy):
    """Combines the indices that its members expect.

    `inverse-error` weighs a member by the inverse of its mean absolute error so far, raised to
    `power`; what lies `half_life` days back counts half.
    """

    name = "ensemble"
    summary = "Combines the answers of two to five other strategies."
    dimensions = {
        "data": "that of its members", "reasoning": "several opinions", "algorithm": "ensemble",
    }
    params = (
        Param("combine", "choice", "mean", options=("mean", "median", "inverse-error")),
        Param("power", "float", 2.0, 0.5, 8.0, when=("combine", "inverse-error")),
        Param("half_life", "int", 60, 7, 365, when=("combine", "inverse-error")),
    )
    builder: ClassVar[Builder]  # set by the package, which knows all strategies

    def __init__(
        self, context: Context, values: Mapping[str, Any],
        members: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(context, values)
        chosen = members or [{"strategy": name} for name in DEFAULT_MEMBERS]
        if not FEWEST <= len(chosen) <= MOST:
            raise ParameterError(f"an ensemble has {FEWEST} to {MOST} members, not {len(chosen)}")
        self.members: List[Strategy] = []
        for member in chosen:
            name = member.get("strategy")
            if not isinstance(name, str) or name == self.name:
                raise ParameterError("a member of an ensemble names one of the other strategies")
            build = type(self).builder
            self.members.append(build(context, name, member.get("params") or {}))
        self._weigh = self.values["combine"] == "inverse-error"
        self._errors = [0.0] * len(self.members)
        self._seen = 0.0
        self._pending: Dict[int, Tuple[float, ...]] = {}  # by station, for the coming day

    @classmethod
    def members_yaml(cls) -> List[str]:
        """How experiment.yaml declares the members."""
        names = ", ".join(f"{{strategy: {name}}}" for name in DEFAULT_MEMBERS)
        return [f"    members: {{min: {FEWEST}, max: {MOST}, default: [{names}]}}"]

    def fit(self) -> None:
        for member in self.members:
            member.fit()

    def learn(self, day: int) -> None:
        if self._weigh:
            self._score(day)
        for member in self.members:
            member.learn(day)

    def answer(self, station: int, day: int) -> float:
        answers = tuple(member.answer(station, day) for member in self.members)
        if self.values["combine"] == "median":
            return statistics.median(answers)
        if not self._weigh:
            return sum(answers) / len(answers)
        self._pending[station] = answers
        weights = self._weights()
        return sum(w * a for w, a in zip(weights, answers)) / sum(weights)

    def predict(self, station: int, day: int) -> float:
        return self.context.scale.concentration(self.answer(station, day))

    def _score(self, day: int) -> None:
        """Compare what the members said for this day with what was measured."""
        errors = [0.0] * len(self.members)
        count = 0
        for station, answers in self._pending.items():
            value = self.panel.raw[station][day]
            if value == value:
                truth = self.context.scale.index(value)
                errors = [total + abs(a - truth) for total, a in zip(errors, answers)]
                count += 1
        self._pending = {}
        if count:
            keep = 0.5 ** (1.0 / self.values["half_life"])
            self._errors = [keep * old + new / count for old, new in zip(self._errors, errors)]
            self._seen = keep * self._seen + 1.0

    def _weights(self) -> List[float]:
        if self._seen == 0.0:
            return [1.0] * len(self.members)
        errors = [max(error / self._seen, 1e-6) for error in self._errors]
        best = min(errors)
        return [math.pow(best / error, self.values["power"]) for error in errors]
