"""The strategies of this skill, in the order in which an experiment should try them."""
from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence, Type

from strategies.analogues import Analogues
from strategies.base import Context, ParameterError, Strategy
from strategies.boosting import BoostedStumps
from strategies.ensemble import Ensemble
from strategies.regression import Autoregression, Neighbours, RidgeWindows
from strategies.regional import Regional, Seasonal, Smoothing
from strategies.simple import Blend, Persistence

#: From plain to strong: the first N are N clearly different ideas.
STRATEGIES: Dict[str, Type[Strategy]] = {
    strategy.name: strategy for strategy in (
        Persistence, Blend, Autoregression, Neighbours, Seasonal, Analogues, Regional, Smoothing,
        RidgeWindows, BoostedStumps, Ensemble,
    )
}
ENSEMBLE = Ensemble.name


def build(
    context: Context,
    name: str,
    params: Mapping[str, Any],
    members: Sequence[Mapping[str, Any]] = (),
) -> Strategy:
    """A strategy ready to be fitted; ParameterError says what is wrong with the request."""
    if name not in STRATEGIES:
        raise ParameterError(f"no strategy {name!r}; there are {', '.join(STRATEGIES)}")
    if name == ENSEMBLE:
        return Ensemble(context, params, members)
    if members:
        raise ParameterError(f"strategy {name} has no members; only {ENSEMBLE} has")
    return STRATEGIES[name](context, params)


Ensemble.builder = staticmethod(build)
