#!/usr/bin/env python3
"""Make assets/train.csv and assets/cases.jsonl from a table of daily weather.

    make_cases.py seattle-weather.csv

The table has the columns date, precipitation, temp_max, temp_min, wind (NOTICE.md says where it comes
from). 2012 and 2013 are for learning, 2014 is the split search, the first half of 2015 select, the
second sealed. What fell is never part of an input, on no day: it is what has to be found out.
"""
from __future__ import annotations

import csv
import datetime
import json
import os
import sys
from typing import Dict, List

ASSETS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "assets")
COLUMNS = ("temp_max", "temp_min", "wind", "temp_max_before", "temp_max_after")


def rows_of(path: str) -> List[Dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    result = []
    for before, row, after in zip(rows, rows[1:], rows[2:]):
        result.append({
            "date": row["date"], "temp_max": row["temp_max"], "temp_min": row["temp_min"],
            "wind": row["wind"], "temp_max_before": before["temp_max"],
            "temp_max_after": after["temp_max"],
            "label": "wet" if float(row["precipitation"]) > 0 else "dry",
        })
    return result


def split_of(date: str) -> str:
    if date < "2014-01-01":
        return "train"
    if date < "2015-01-01":
        return "search"
    return "select" if date < "2015-07-01" else "sealed"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    rows = rows_of(sys.argv[1])
    with open(os.path.join(ASSETS, "train.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["date", *COLUMNS, "label"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for row in rows if split_of(row["date"]) == "train")
    with open(os.path.join(ASSETS, "cases.jsonl"), "w", encoding="utf-8") as file:
        for row in rows:
            split = split_of(row["date"])
            if split == "train":
                continue
            year, week, _ = datetime.date.fromisoformat(row["date"]).isocalendar()
            case = {
                "case": row["date"], "split": split, "cluster": f"{year}-W{week:02}",
                "input": {"date": row["date"], **{name: float(row[name]) for name in COLUMNS}},
                "expected": row["label"],
            }
            file.write(json.dumps(case, separators=(",", ":")) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
