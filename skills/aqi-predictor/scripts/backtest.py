#!/usr/bin/env python3
"""Replay a split of a suite against predict.py, as the platform does, and score the answers.

    backtest.py                                   every strategy with its defaults, split search
    backtest.py --strategy ar --param lags=3      one strategy
    backtest.py --splits search,select --markdown

It needs the data of the suite (assets/), so it runs where the skill was unpacked whole; an
experiment withholds that data from the variants that it tests.
"""
from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True  # a skill's folder stays as it was unpacked
sys.path.insert(0, HERE)

from airquality.aqi import Scale  # noqa: E402
from airquality.panel import parse_day  # noqa: E402
from airquality.suites import SUITES, Suite  # noqa: E402
from predict import parse_param  # noqa: E402
from strategies import STRATEGIES  # noqa: E402

ROOT = os.path.dirname(HERE)
Table = Tuple[List[str], List[Tuple[str, Dict[str, float]]]]  # stations; (date, values) a day


class Round(NamedTuple):
    """One day: what was measured, and what the next day will measure."""

    today: str
    known: Dict[str, float]
    tomorrow: str
    truth: Dict[str, float]


@dataclass(frozen=True)
class Result:
    """How one variant did on one split."""

    cases: int
    days: int
    mae: float  # mean over cases, AQI points
    daily_mae: float  # mean over days of the day's mean
    cpu_seconds: float
    answers: Mapping[str, float]
    expected: Mapping[str, float]


def load(path: str) -> Table:
    """The measurements as written; the platform reads the file in the same plain way."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        stations = next(reader)[1:]
        days = []
        for row in reader:
            cells = zip(stations, row[1:])
            days.append((row[0], {name: float(cell) for name, cell in cells if cell}))
    return stations, days


def write_history(suite: Suite, table: Table, before: str, folder: str) -> None:
    """What HISTORY_DIR holds: the measurements of the days before a date, and the coordinates."""
    stations, days = table
    path = os.path.join(folder, os.path.basename(suite.values))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["date", *stations])
        for date, values in days:
            if date < before:
                writer.writerow([date, *(values.get(name, "") for name in stations)])
    source = os.path.join(ROOT, suite.sites)
    with open(source, "rb") as old, open(
        os.path.join(folder, os.path.basename(suite.sites)), "wb"
    ) as new:
        new.write(old.read())


def rounds(table: Table, first: str, last: str) -> Iterator[Round]:
    """One round for each day whose tomorrow lies in first..last, also where tomorrow is unknown."""
    days = dict(table[1])
    for today, known in table[1]:
        tomorrow = datetime.date.fromordinal(parse_day(today) + 1).isoformat()
        if first <= tomorrow <= last:
            yield Round(today, known, tomorrow, days.get(tomorrow, {}))


def replay(suite: Suite, split: str, variant: Mapping[str, Any]) -> Result:
    """Run one variant over one split and score it."""
    first, last = next((first, last) for name, first, last in suite.splits if name == split)
    table = load(os.path.join(ROOT, suite.values))
    scale = Scale(suite.points)
    expected: Dict[str, float] = {}
    daily: List[float] = []
    answers: Dict[str, float] = {}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        history = os.path.join(folder, "history")
        os.mkdir(history)
        write_history(suite, table, first, history)
        params = os.path.join(folder, "params.json")
        with open(params, "w", encoding="utf-8") as file:
            json.dump(variant, file)
        environment = {
            **os.environ, "PARAMS_FILE": params, "HISTORY_DIR": history,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with subprocess.Popen(
            [sys.executable, os.path.join(HERE, "predict.py")], cwd=ROOT, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:
            assert process.stdin and process.stdout and process.stderr

            def ask(message: Mapping[str, Any]) -> Dict[str, Any]:
                process.stdin.write(json.dumps(message) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError(process.stderr.read().strip() or "predict.py ended early")
                return json.loads(line)

            ask({"type": "start", "suite": suite.name, "split": split})
            for today, known, tomorrow, truth in rounds(table, first, last):
                names = [name for name in table[0] if name in known and name in truth]
                cases = [
                    {"case": f"{tomorrow}/{name}", "input": {"station": name, "date": tomorrow}}
                    for name in names
                ]
                reply = ask({"type": "round", "round": today, "observe": known, "cases": cases})
                answers.update(reply["answers"])
                errors = []
                for case, name in zip(cases, names):
                    key = case["case"]
                    expected[key] = scale.index(truth[name])
                    errors.append(abs(reply["answers"][key] - expected[key]))
                if errors:
                    daily.append(sum(errors) / len(errors))
            process.stdin.write('{"type":"end"}\n')
            process.stdin.close()
            if process.wait() != 0:
                raise RuntimeError(process.stderr.read().strip())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = sum(abs(answers[key] - value) for key, value in expected.items())
    return Result(
        cases=len(expected), days=len(daily), mae=total / len(expected),
        daily_mae=sum(daily) / len(daily), answers=answers, expected=expected,
        cpu_seconds=(after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime),
    )


def report(rows: Sequence[Tuple[str, Sequence[Result]]], splits: Sequence[str],
           markdown: bool) -> None:
    """Print one line a variant: the error on each split and the CPU time of the slowest."""
    width = max(len(name) for name, _ in rows) + 1
    if markdown:
        print("| strategy | " + " | ".join(splits) + " | CPU s |")
        print("| --- |" + " ---: |" * (len(splits) + 1))
    else:
        print(f"{'strategy':<{width}}" + "".join(f"{split:>9}" for split in splits) + "    CPU s")
    for name, results in rows:
        cpu = max(result.cpu_seconds for result in results)
        if markdown:
            cells = " | ".join(f"{result.mae:.3f}" for result in results)
            print(f"| {name} | {cells} | {cpu:.1f} |")
        else:
            print(f"{name:<{width}}" + "".join(f"{result.mae:9.3f}" for result in results)
                  + f"{cpu:9.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Replay a split against predict.py.")
    parser.add_argument("--suite", choices=list(SUITES), default="aqi-de")
    parser.add_argument("--splits", default="search", help="comma-separated")
    parser.add_argument("--strategy", choices=list(STRATEGIES), action="append")
    parser.add_argument("--param", type=parse_param, action="append", default=[],
                        metavar="NAME=VALUE")
    parser.add_argument("--members", type=json.loads, default=None,
                        help='members of an ensemble: [{"strategy": ..., "params": {...}}, ...]')
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    suite = SUITES[options.suite]
    splits = options.splits.split(",")
    unknown = set(splits) - {name for name, _, _ in suite.splits}
    if unknown:
        parser.error(f"suite {suite.name} has no split {', '.join(sorted(unknown))}")
    if not os.path.exists(os.path.join(ROOT, suite.values)):
        print(f"backtest.py: {suite.values} is not here; an experiment withholds it from variants",
              file=sys.stderr)
        return 2
    rows = []
    for name in options.strategy or list(STRATEGIES):
        variant: Dict[str, Any] = {
            "strategy": name, "params": dict(options.param), "seed": options.seed,
        }
        if options.members and name == "ensemble":
            variant["members"] = options.members
        rows.append((name, [replay(suite, split, variant) for split in splits]))
    report(rows, splits, options.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
