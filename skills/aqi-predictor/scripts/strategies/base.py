"""What a strategy is: declared parameters, fitting on the past, one answer a station and day."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Sequence, Tuple

from airquality.aqi import Scale
from airquality.panel import Panel


class ParameterError(ValueError):
    """A parameter that the strategy does not have, or a value that it cannot take."""


@dataclass(frozen=True)
class Param:
    """One declared parameter. `kind` is float, log, int, choice, bool or angle (degrees)."""

    name: str
    kind: str
    default: Any
    low: float = 0.0
    high: float = 0.0
    options: Tuple[str, ...] = ()
    when: Optional[Tuple[str, Any]] = None  # used only when that parameter has that value

    def check(self, value: Any) -> Any:
        """The value in its own type; ParameterError if it is of another type or out of range."""
        if self.kind == "bool":
            if isinstance(value, bool):
                return value
            raise ParameterError(f"{self.name} must be true or false, not {value!r}")
        if self.kind == "choice":
            if value in self.options:
                return value
            raise ParameterError(f"{self.name} must be one of {', '.join(self.options)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise ParameterError(f"{self.name} must be a number, not {value!r}")
        if self.kind == "angle":
            return float(value) % 360.0 if abs(value) < 1e9 else self.default
        if self.kind == "int" and float(value) != int(value):
            raise ParameterError(f"{self.name} must be a whole number, not {value!r}")
        if not self.low <= value <= self.high:
            raise ParameterError(f"{self.name} must lie in {self.low:g} to {self.high:g}")
        return int(value) if self.kind == "int" else float(value)


@dataclass
class Context:
    """What every strategy of one run shares."""

    panel: Panel
    sites: Mapping[str, Tuple[float, float]]
    scale: Scale
    seed: int = 0
    shared: Dict[Any, Any] = field(default_factory=dict)  # things worth computing once


class Strategy:
    """Base of all strategies.

    The life of one: made with checked parameters, `fit` once on the history, then for each new
    day `learn` (the day's measurements are in the panel), then `predict` for each station.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    dimensions: ClassVar[Mapping[str, str]]
    params: ClassVar[Sequence[Param]] = ()

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        self.context = context
        self.panel = context.panel
        self.values = checked(self.params, values, self.name)

    def fit(self) -> None:
        """Learn from everything in the panel."""

    def learn(self, day: int) -> None:
        """Take note of a day that was just added to the panel."""

    def predict(self, station: int, day: int) -> float:
        """The concentration expected on day + 1, known what is known on day."""
        raise NotImplementedError

    def answer(self, station: int, day: int) -> float:
        """The index expected on day + 1."""
        return self.context.scale.index(self.predict(station, day))


def checked(params: Sequence[Param], values: Mapping[str, Any], owner: str) -> Dict[str, Any]:
    """Defaults overlaid with the given values; ParameterError for unknown names."""
    known = {param.name: param for param in params}
    unknown = sorted(set(values) - set(known))
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise ParameterError(f"strategy {owner} has no parameter {unknown[0]} (it has: {names})")
    result = {param.name: param.default for param in params}
    for name, value in values.items():
        result[name] = known[name].check(value)
    return result


def last_measured(panel: Panel, station: int, day: int, max_age: int) -> Optional[float]:
    """The newest measurement not older than max_age days before `day`."""
    series = panel.raw[station]
    for back in range(0, min(max_age, day) + 1):
        value = series[day - back]
        if value == value:
            return value
    return None


def measured(panel: Panel, day: int) -> List[int]:
    """The stations that measured on that day."""
    return [number for number, series in enumerate(panel.raw) if series[day] == series[day]]
