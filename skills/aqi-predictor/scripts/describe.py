#!/usr/bin/env python3
"""Print the sections `suites` and `strategies` of experiment.yaml as the code declares them.

experiment.yaml must hold this text; selftest.py compares the two. After a change to suites.py or
to the parameters of a strategy, paste the output over those sections.
"""
from __future__ import annotations

import os
import sys
from typing import Any, List

sys.dont_write_bytecode = True  # a skill's folder stays as it was unpacked
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from airquality.suites import SUITES  # noqa: E402
from strategies import ENSEMBLE, STRATEGIES  # noqa: E402
from strategies.base import Param  # noqa: E402


def scalar(value: Any) -> str:
    """A value as YAML; words here are plain and never look like another type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def parameter(param: Param) -> str:
    """The declaration of one parameter as a flow map."""
    if param.kind == "choice":
        domain = f"choice: [{', '.join(param.options)}]"
    elif param.kind in ("bool", "angle"):
        domain = f"{param.kind}: true"
    else:
        domain = f"{param.kind}: [{scalar(param.low)}, {scalar(param.high)}]"
    text = f"{{{domain}, default: {scalar(param.default)}"
    if param.when:
        text += f", when: {{{param.when[0]}: {scalar(param.when[1])}}}"
    return text + "}"


def suites() -> List[str]:
    """The section `suites`."""
    lines = ["suites:"]
    for suite in SUITES.values():
        lines += [f"  {suite.name}:", f"    description: {suite.about}"]
        if suite.default:
            lines.append("    default: true")
        lines += [
            "    data:",
            "      format: station-days",
            f"      values: {suite.values}",
            f"      sites: {suite.sites}",
            "    target:",
            f"      transform: {suite.transform}",
        ]
        points = ", ".join(f"[{x:g}, {y:g}]" for x, y in suite.points)
        lines += [f"      table: [{points}]", "    splits:"]
        for name, first, last in suite.splits:
            lines.append(f"      {name}: {{from: {first}, to: {last}}}")
        lines += [
            "    metric: {name: mae, direction: lower}",
            "    baseline: {strategy: persistence}",
        ]
    return lines


def strategies() -> List[str]:
    """The section `strategies`."""
    lines = ["strategies:"]
    for name, strategy in STRATEGIES.items():
        lines += [f"  {name}:", f"    description: {strategy.summary}", "    dimensions:"]
        lines += [f"      {key}: {value}" for key, value in strategy.dimensions.items()]
        if name == ENSEMBLE:
            lines += strategy.members_yaml()
        if not strategy.params:
            lines.append("    params: {}")
            continue
        lines.append("    params:")
        lines += [f"      {param.name}: {parameter(param)}" for param in strategy.params]
    return lines


def sections() -> str:
    """Both sections, as they must stand in experiment.yaml."""
    return "\n".join(suites()) + "\n\n" + "\n".join(strategies()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(sections())
