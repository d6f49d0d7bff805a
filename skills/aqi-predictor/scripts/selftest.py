#!/usr/bin/env python3
"""Check this skill in a second or two, on made-up data: prints one line, exits 0 or 1."""
from __future__ import annotations

import datetime
import io
import json
import math
import os
import random
import sys
import tempfile
from typing import Any, Callable, Dict, List, Mapping, Sequence

sys.dont_write_bytecode = True  # a skill's folder stays as it was unpacked
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from airquality.aqi import OZONE_POINTS, PM10_POINTS, Scale  # noqa: E402
from airquality.geo import bearing, distance_km  # noqa: E402
from airquality.panel import View  # noqa: E402
from describe import sections  # noqa: E402
from predict import Session  # noqa: E402
from strategies import ENSEMBLE, STRATEGIES, ParameterError  # noqa: E402
from strategies.base import Param  # noqa: E402
from strategies.linear import Moments  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FIRST = 731216  # ordinal of 2003-01-01
HISTORY_DAYS, ROUNDS, STATIONS = 420, 15, 10


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def date(day: int) -> str:
    return datetime.date.fromordinal(FIRST + day).isoformat()


def made_up(days: int) -> List[Dict[str, float]]:
    """Measurements that fade towards a level, with a shared and an own part, and with gaps."""
    draw = random.Random(20030101)
    shared, own, rows = 0.0, [0.0] * STATIONS, []
    for day in range(days):
        shared = 0.6 * shared + draw.gauss(0.0, 0.3)
        row = {}
        for number in range(STATIONS):
            own[number] = 0.4 * own[number] + draw.gauss(0.0, 0.2)
            late = number == 0 and day < days // 2  # one station starts late
            if draw.random() > 0.1 and not late and day % 97 != 50:  # some days hold nothing
                row[f"S{number}"] = round(math.exp(2.7 + 0.05 * number + shared + own[number]), 1)
        rows.append(row)
    return rows


def write_history(folder: str, rows: Sequence[Mapping[str, float]]) -> None:
    names = [f"S{number}" for number in range(STATIONS)]
    with open(os.path.join(folder, "values.csv"), "w", encoding="utf-8") as file:
        file.write("date," + ",".join(names) + "\n")
        for day, row in enumerate(rows):
            cells = [str(row.get(name, "")) for name in names]
            file.write(date(day) + "," + ",".join(cells) + "\n")
    with open(os.path.join(folder, "sites.csv"), "w", encoding="utf-8") as file:
        file.write("station,lon,lat\n")
        for number in range(1, STATIONS):  # the place of the first is not known
            file.write(f"S{number},{8 + 0.7 * (number % 4)},{50 + 0.5 * (number // 4)}\n")


def run(params: Mapping[str, Any], history: str, rows: Sequence[Mapping[str, float]],
        start: int, suite: str = "aqi-de") -> Dict[str, float]:
    """The answers of one session over the rows from day `start` on."""
    session = Session(params, history, io.StringIO())
    expect(session.handle({"type": "start", "suite": suite, "split": "search"})
           == {"type": "ready"}, "the start is not answered by ready")
    answers: Dict[str, float] = {}
    names = [f"S{number}" for number in range(STATIONS)] + ["NEVER-SEEN"]
    for day in range(start, len(rows)):
        cases = [
            {"case": f"{date(day + 1)}/{name}", "input": {"station": name, "date": date(day + 1)}}
            for name in names
        ]
        reply = session.handle(
            {"type": "round", "round": date(day), "observe": rows[day], "cases": cases})
        # A round trip through JSON, as on the wire; NaN and infinity are refused.
        reply = json.loads(json.dumps(reply, allow_nan=False))
        expect(reply["round"] == date(day), "a round is answered under another name")
        expect(set(reply["answers"]) == {case["case"] for case in cases}, "cases lack answers")
        answers.update(reply["answers"])
    expect(session.fallbacks == 0, f"{params} had no finite answer for some cases")
    return answers


def mean_error(answers: Mapping[str, float], rows: Sequence[Mapping[str, float]]) -> float:
    scale, errors = Scale(PM10_POINTS), []
    for day, row in enumerate(rows):
        for name, value in row.items():
            answer = answers.get(f"{date(day)}/{name}")
            if answer is not None:
                errors.append(abs(answer - scale.index(value)))
    return sum(errors) / len(errors)


def extreme(param: Param, high: bool) -> Any:
    """The least or the greatest value of a parameter."""
    if param.kind == "bool":
        return high
    if param.kind == "choice":
        return param.options[-1 if high else 0]
    if param.kind == "angle":
        return 359.0 if high else 0.0
    return param.high if high else param.low


def check_scale() -> None:
    pm10, ozone = Scale(PM10_POINTS), Scale(OZONE_POINTS)
    for scale, value, index in (
        (pm10, 0, 0), (pm10, 27, 25), (pm10, 54, 50), (pm10, 54.5, 50.5), (pm10, 55, 51),
        (pm10, 154, 100), (pm10, 900, 500), (ozone, 54, 50), (ozone, 70, 100), (ozone, 105, 200),
    ):
        expect(abs(scale.index(value) - index) < 1e-9, f"the index of {value} must be {index}")
    expect(abs(pm10.concentration(pm10.index(80.0)) - 80.0) < 1e-9, "scale and its inverse differ")


def check_places() -> None:
    berlin, hamburg = (13.405, 52.52), (9.993, 53.551)
    expect(abs(distance_km(berlin, hamburg) - 255.3) < 1.0, "Berlin to Hamburg is about 255 km")
    expect(abs(bearing((0.0, 0.0), (1.0, 0.0)) - 90.0) < 1e-6, "east lies at 90 degrees")


def check_fit() -> None:
    moments = Moments(4)
    a, b = [1.0, 2.0, 3.0, 5.0, 8.0], [2.0, -1.0, 0.0, 4.0, 1.0]
    y = [0.5 + 2.0 * p - 3.0 * q for p, q in zip(a, b)]
    moments.add([[1.0] * 5, a, b, y], None)
    found = moments.solve(0.0) or []
    expect(all(abs(x - t) < 1e-3 for x, t in zip(found, (0.5, 2.0, -3.0))), f"fit gave {found}")
    view = View("log")
    view.add_day([])
    view.add_station()
    expect(all(map(math.isfinite, view.filled[0])), "a new station has no level")


def check_declaration() -> None:
    with open(os.path.join(ROOT, "experiment.yaml"), encoding="utf-8") as file:
        expect(sections() in file.read(), "experiment.yaml differs from what describe.py prints")


def check_strategies() -> None:
    rows = made_up(HISTORY_DAYS + ROUNDS)
    with tempfile.TemporaryDirectory() as history, tempfile.TemporaryDirectory() as short:
        write_history(history, rows[:HISTORY_DAYS])
        errors = {}
        for name in STRATEGIES:
            variant = {"strategy": name, "seed": 1}
            # The first round repeats the last day of the history.
            answers = run(variant, history, rows, HISTORY_DAYS - 1)
            errors[name] = mean_error(answers, rows)
            run(variant, short, rows[:25], 0)  # no history at all
        for name in ("ar", "neighbours", "ridge-windows", ENSEMBLE):
            expect(errors[name] < errors["persistence"], f"{name} is no better than persistence")
        seeded = [
            run({"strategy": "boosted-stumps", "params": {"trees": 20}, "seed": seed}, history,
                rows, len(rows) - 2)
            for seed in (1, 1, 2)
        ]
        expect(seeded[0] == seeded[1], "the same seed gives other answers")
        expect(seeded[0] != seeded[2], "the seed has no effect")
        weighted = {
            "strategy": ENSEMBLE, "params": {"combine": "inverse-error"},
            "members": [{"strategy": "ar", "params": {"lags": 3}}, {"strategy": "blend"}],
        }
        run(weighted, history, rows, len(rows) - 5, suite="ozone-50")
        write_history(short, rows[:90])
        for strategy in STRATEGIES.values():
            for high in (False, True):
                params = {param.name: extreme(param, high) for param in strategy.params}
                run({"strategy": strategy.name, "params": params}, short, rows[:92], 90)
        for wrong in (
            {"strategy": "oracle"}, {"strategy": "ar", "params": {"lag": 1}},
            {"strategy": "ar", "params": {"lags": 99}}, {"strategy": ENSEMBLE, "members": [{}]},
        ):
            try:
                run(wrong, history, rows, len(rows))
            except ParameterError:
                continue
            raise AssertionError(f"{wrong} was accepted")


def main() -> int:
    checks: List[Callable[[], None]] = [
        check_scale, check_places, check_fit, check_declaration, check_strategies,
    ]
    for check in checks:
        try:
            check()
        except Exception as error:  # whatever went wrong, say which check
            print(f"selftest: {check.__name__} failed: {type(error).__name__}: {error}")
            return 1
    print(f"selftest: {len(STRATEGIES)} strategies, {len(checks)} checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
