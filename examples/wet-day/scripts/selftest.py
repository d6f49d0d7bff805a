#!/usr/bin/env python3
"""Check this skill on made-up days: prints one line, exits 0 or 1."""
from __future__ import annotations

import os
import random
import sys

sys.dont_write_bytecode = True  # a skill's folder stays as it was unpacked
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from classifiers import PLAIN, build, day_of  # noqa: E402


def made_up(count: int, draw: random.Random) -> list:
    """Days on which rain goes with a small range of temperature and with wind."""
    days = []
    for number in range(count):
        wet = draw.random() < 0.4
        high = draw.gauss(12.0, 4.0)
        row = {
            "date": f"2014-{1 + number % 12:02}-{1 + number % 28:02}", "temp_max": high,
            "temp_min": high - abs(draw.gauss(4.0 if wet else 9.0, 1.5)),
            "wind": abs(draw.gauss(4.0 if wet else 2.5, 1.0)),
            "temp_max_before": high + draw.gauss(0.0, 2.0),
            "temp_max_after": high + draw.gauss(0.0, 2.0),
        }
        days.append(day_of(row, "wet" if wet else "dry"))
    return days


def main() -> int:
    draw = random.Random(7)
    known, asked = made_up(250, draw), made_up(100, draw)
    for name in [*PLAIN, "vote"]:
        classifier = build({"strategy": name})
        classifier.fit(known)
        chances = [classifier.chance(day) for day in asked]
        right = sum((chance > 0.5) == (day.label == "wet") for chance, day in zip(chances, asked))
        if not all(0.0 <= chance <= 1.0 for chance in chances):
            print(f"selftest: {name} gave a chance outside 0 to 1")
            return 1
        if right < (40 if name == "monthly" else 80):
            print(f"selftest: {name} was right on {right} of {len(asked)} days")
            return 1
    print(f"selftest: {len(PLAIN) + 1} strategies passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
