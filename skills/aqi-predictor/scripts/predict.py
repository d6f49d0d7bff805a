#!/usr/bin/env python3
"""Predict tomorrow's air quality index.

Two ways to run it:

    predict.py --csv FILE [--sites FILE] [--pollutant pm10|ozone] [--strategy NAME]
               [--param NAME=VALUE ...] [--json]
        read measurements, print the expected index of the day after the last one

    PARAMS_FILE=... HISTORY_DIR=... predict.py
        take part in an experiment: JSON lines on standard input and output
        (references/experiment-format.md)
"""
from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import sys
from typing import Any, Dict, List, Mapping, Optional, TextIO, Tuple

sys.dont_write_bytecode = True  # a skill's folder stays as it was unpacked
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from airquality.aqi import OZONE_POINTS, PM10_POINTS, Scale, category  # noqa: E402
from airquality.panel import (  # noqa: E402
    Panel, backward, find_tables, parse_day, read_sites, read_values,
)
from airquality.suites import suite_named  # noqa: E402
from strategies import Context, STRATEGIES, Strategy, build  # noqa: E402

SCALES = {"pm10": PM10_POINTS, "ozone": OZONE_POINTS}
DIGITS = 4  # of an answer; errors are counted in whole AQI points


class ProtocolError(ValueError):
    """A line of the session that cannot be understood."""


class Session:
    """The script's side of an experiment session."""

    def __init__(self, params: Mapping[str, Any], history: Optional[str], log: TextIO) -> None:
        self.params = params
        self.history = history
        self.log = log
        self.strategy: Optional[Strategy] = None
        self.panel = Panel()
        self.scale = Scale(PM10_POINTS)
        self.fallbacks = 0

    def handle(self, message: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
        """Answer one message; None if it has no answer."""
        kind = message.get("type")
        if kind == "start":
            self.start(str(message.get("suite", "")))
            return {"type": "ready"}
        if kind == "round":
            return self.round(message)
        raise ProtocolError(f"unknown message type {kind!r}; expected start, round or end")

    def start(self, suite_name: str) -> None:
        suite = suite_named(suite_name)
        values = sites = None
        if self.history:
            values, sites = find_tables(self.history)
        self.panel = read_values(values) if values else Panel()
        self.scale = Scale(suite.points)
        context = Context(
            panel=self.panel,
            sites=read_sites(sites) if sites else {},
            scale=self.scale,
            seed=_integer(self.params.get("seed", 0)),
        )
        self.strategy = build(
            context,
            self.params.get("strategy", "persistence"),
            self.params.get("params") or {},
            self.params.get("members") or (),
        )
        self.strategy.fit()
        print(
            f"{suite.name}: fitted {self.strategy.name} on {self.panel.days} days"
            f" of {len(self.panel.stations)} stations",
            file=self.log,
        )

    def round(self, message: Mapping[str, Any]) -> Dict[str, Any]:
        if self.strategy is None:
            raise ProtocolError("a round came before the start")
        name = message.get("round")
        day = self.panel.observe(parse_day(str(name)), message.get("observe") or {})
        if day is not None:
            self.strategy.learn(day)
        answers: Dict[str, float] = {}
        for case in message.get("cases") or ():
            station = self.panel.station(str(case["input"]["station"]))
            answers[case["case"]] = self.answer(station)
        return {"type": "answers", "round": name, "answers": answers}

    def answer(self, station: int) -> float:
        """The expected index of the coming day; always finite.

        Should a strategy fail on a case, the case gets the station's present level and the log says
        so, once.
        """
        assert self.strategy is not None
        day = self.panel.days - 1
        try:
            value = self.strategy.answer(station, day)
        except ArithmeticError:
            value = math.nan
        if not math.isfinite(value):
            if not self.fallbacks:
                name = self.panel.stations[station]
                print(f"no finite answer for {name}; using its present level", file=self.log)
            self.fallbacks += 1
            value = self.scale.index(backward("log", self.panel.view("log").filled[station][day]))
        return round(value, DIGITS)


def _integer(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0


def run_session(source: TextIO, sink: TextIO, log: TextIO) -> int:
    """Speak the session protocol until `end` or the end of input; the exit code."""
    params: Mapping[str, Any] = {}
    path = os.environ.get("PARAMS_FILE")
    if path:
        with open(path, encoding="utf-8") as file:
            params = json.load(file)
    session = Session(params, os.environ.get("HISTORY_DIR"), log)
    rounds = 0
    for line in source:
        if not line.strip():
            continue
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ProtocolError("a line of the session must be a JSON object")
        if message.get("type") == "end":
            break
        reply = session.handle(message)
        if reply is not None:
            rounds += reply["type"] == "answers"
            sink.write(json.dumps(reply, separators=(",", ":"), allow_nan=False) + "\n")
            sink.flush()
    extra = f", {session.fallbacks} answers by the present level" if session.fallbacks else ""
    print(f"answered {rounds} rounds{extra}", file=log)
    return 0


def parse_param(text: str) -> Tuple[str, Any]:
    """NAME=VALUE, the value read as JSON where it is JSON and as a word otherwise."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def forecast(options: argparse.Namespace) -> List[Dict[str, Any]]:
    """One row a station: the expected index of the day after the last one in the file."""
    panel = read_values(options.csv)
    if not panel.days:
        raise ValueError(f"{options.csv} holds no days")
    context = Context(
        panel=panel,
        sites=read_sites(options.sites) if options.sites else {},
        scale=Scale(SCALES[options.pollutant]),
        seed=options.seed,
    )
    strategy = build(context, options.strategy, dict(options.param))
    strategy.fit()
    day = panel.days - 1
    date = datetime.date.fromordinal(panel.first + panel.days).isoformat()
    rows = []
    for station, name in enumerate(panel.stations):
        index = strategy.answer(station, day)
        rows.append({
            "station": name, "date": date, "aqi": round(index, 1), "category": category(index),
            "measured_today": not math.isnan(panel.raw[station][day]),
        })
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description="Predict tomorrow's air quality index.")
    parser.add_argument("--csv", help="measurements: date,STATION,... with one line a day")
    parser.add_argument("--sites", help="coordinates: station,lon,lat")
    parser.add_argument("--pollutant", choices=sorted(SCALES), default="pm10")
    parser.add_argument("--strategy", choices=list(STRATEGIES), default="ar")
    parser.add_argument("--param", type=parse_param, action="append", default=[],
                        metavar="NAME=VALUE", help="a parameter of the strategy; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    try:
        if not options.csv:
            return run_session(sys.stdin, sys.stdout, sys.stderr)
        rows = forecast(options)
    except KeyError as error:
        print(f"predict.py: a message has no field {error}", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:  # also ParameterError and ProtocolError
        print(f"predict.py: {error}", file=sys.stderr)
        return 2
    if options.json:
        json.dump(rows, sys.stdout, indent=1)
        print()
        return 0
    print(f"{'station':<12} {'date':<10} {'AQI':>6}  category")
    for row in rows:
        note = "" if row["measured_today"] else "  (not measured on the last day)"
        print(f"{row['station']:<12} {row['date']} {row['aqi']:6.1f}  {row['category']}{note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
