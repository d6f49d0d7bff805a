#!/usr/bin/env python3
"""Say for days without a rain gauge whether they were wet.

    predict.py --train TRAIN.csv --days DAYS.csv [--strategy NAME]
        print date,wet|dry,chance for each line of DAYS.csv

    PARAMS_FILE=... HISTORY_DIR=... predict.py
        take part in an experiment: JSON lines on standard input and output, one round
"""
from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from typing import Any, List, Mapping

sys.dont_write_bytecode = True  # a skill's folder stays as it was unpacked
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from classifiers import DRY, PLAIN, WET, Classifier, Day, build, day_of  # noqa: E402


def read_days(path: str) -> List[Day]:
    """The labelled days of a table."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        days = [day_of(row, row["label"]) for row in csv.DictReader(file)]
    if not days:
        raise ValueError(f"{os.path.basename(path)} holds no days to learn from")
    return days


def trained(request: Mapping[str, Any], path: str) -> Classifier:
    classifier = build(request)
    classifier.fit(read_days(path))
    return classifier


def session() -> int:
    """Speak the session protocol: start, one round, end."""
    request: Mapping[str, Any] = {}
    if os.environ.get("PARAMS_FILE"):
        with open(os.environ["PARAMS_FILE"], encoding="utf-8") as file:
            request = json.load(file)
    classifier = None
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "end":
            break
        if message["type"] == "start":
            folder = os.environ.get("HISTORY_DIR", "")
            classifier = trained(request, os.path.join(folder, "train.csv"))
            reply = {"type": "ready"}
        elif classifier is None:
            raise ValueError("a round came before the start")
        else:
            answers = {
                case["case"]: WET if classifier.chance(day_of(case["input"])) > 0.5 else DRY
                for case in message["cases"]
            }
            reply = {"type": "answers", "round": message.get("round"), "answers": answers}
            print(f"answered {len(answers)} cases", file=sys.stderr)
        print(json.dumps(reply, separators=(",", ":")), flush=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Say whether days were wet.")
    parser.add_argument("--train", help="date,temp_max,temp_min,wind,temp_max_before,"
                                        "temp_max_after,label")
    parser.add_argument("--days", help="the same columns without label")
    parser.add_argument("--strategy", default="logistic", choices=[*PLAIN, "vote"])
    options = parser.parse_args()
    try:
        if not options.days:
            return session()
        classifier = trained({"strategy": options.strategy}, options.train or "")
        with open(options.days, newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                chance = classifier.chance(day_of(row))
                print(f"{row['date']},{WET if chance > 0.5 else DRY},{chance:.2f}")
    except KeyError as error:
        print(f"predict.py: the field {error} is missing", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"predict.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
