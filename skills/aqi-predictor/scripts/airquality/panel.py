"""Daily series of many stations that grow one day at a time.

Everything here is causal: what is computed for a day uses that day and earlier days only, so
numbers made while fitting on history are the same as those made while predicting.
"""
from __future__ import annotations

import csv
import datetime
import math
import os
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

NAN = float("nan")
#: Shortest step that a day may jump ahead of the last one; a longer jump is a wrong date.
MAX_GAP_DAYS = 3660

TRANSFORMS = ("lin", "sqrt", "log")


def forward(transform: str, value: float) -> float:
    """A concentration (>= 0) on the scale that a strategy works on."""
    if transform == "log":
        return math.log1p(value)
    if transform == "sqrt":
        return math.sqrt(value)
    return value


def backward(transform: str, value: float) -> float:
    """The concentration of a value made by forward; never negative, always finite."""
    if transform == "log":
        return math.expm1(min(max(value, 0.0), 9.0))
    if transform == "sqrt":
        return max(value, 0.0) ** 2
    return max(value, 0.0)


def parse_day(text: str) -> int:
    """The ordinal of an ISO date; ValueError if it is none."""
    return datetime.date.fromisoformat(text.strip()).toordinal()


def clean(value: object) -> float:
    """A measurement as a float; NaN for everything that is not a finite number >= 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return NAN
    try:
        number = float(value)
    except ValueError:
        return NAN
    return number if 0.0 <= number < 1e6 else NAN


class View:
    """The panel on one scale, with gaps filled.

    A gap at a station takes the station's mean so far plus the mean anomaly of the stations that
    did measure that day. `filled[station][day]` is therefore always finite.
    """

    SHRINK = 5.0  # days of the all-station mean mixed into a station's mean

    def __init__(self, transform: str) -> None:
        self.transform = transform
        self.filled: List[List[float]] = []
        self.prefix: List[List[float]] = []  # prefix[s][d] = sum of filled[s][0:d]
        self.means: List[List[float]] = []  # means[s][d] = mean of station s up to day d
        self.region: List[float] = []  # mean anomaly of the stations that measured
        self._sums: List[float] = []
        self._counts: List[int] = []
        self._total = 0.0
        self._count = 0

    def add_station(self) -> None:
        days = len(self.region)
        level = self.overall()
        self.filled.append([level + anomaly for anomaly in self.region])
        prefix = [0.0]
        for value in self.filled[-1]:
            prefix.append(prefix[-1] + value)
        self.prefix.append(prefix)
        self.means.append([level] * days)
        self._sums.append(0.0)
        self._counts.append(0)

    def overall(self) -> float:
        """Mean of all measurements so far; a middling level before the first one."""
        return self._total / self._count if self._count else forward(self.transform, 15.0)

    def add_day(self, raw: Sequence[float]) -> None:
        """Append one day: one value a station, NaN where nothing was measured."""
        values = [value if value != value else forward(self.transform, value) for value in raw]
        for station, value in enumerate(values):
            if value == value:
                self._sums[station] += value
                self._counts[station] += 1
                self._total += value
                self._count += 1
        pull = self.SHRINK * self.overall()
        anomaly, measured = 0.0, 0
        for station, value in enumerate(values):
            mean = (self._sums[station] + pull) / (self._counts[station] + self.SHRINK)
            self.means[station].append(mean)
            if value == value:
                anomaly += value - mean
                measured += 1
        if measured:
            region = anomaly / measured
        else:  # a day without any measurement: yesterday's anomaly, half forgotten
            region = 0.5 * self.region[-1] if self.region else 0.0
        self.region.append(region)
        for station, value in enumerate(values):
            known = value if value == value else self.means[station][-1] + region
            self.filled[station].append(known)
            self.prefix[station].append(self.prefix[station][-1] + known)

    def window_mean(self, station: int, day: int, days: int) -> float:
        """Mean of the last `days` days up to `day`; fewer where the series is shorter."""
        start = max(0, day + 1 - days)
        sums = self.prefix[station]
        return (sums[day + 1] - sums[start]) / (day + 1 - start)


class Panel:
    """Measurements by station and day, with views on other scales that stay in step."""

    def __init__(self, stations: Sequence[str] = ()) -> None:
        self.first = 0  # ordinal of day 0; meaningful once there is a day
        self.days = 0
        self.stations: List[str] = []
        self.index: Dict[str, int] = {}
        self.raw: List[List[float]] = []
        self._views: Dict[str, View] = {}
        for name in stations:
            self.station(name)

    def station(self, name: str) -> int:
        """The number of a station; a station never seen before joins with an empty series."""
        number = self.index.get(name)
        if number is None:
            number = self.index[name] = len(self.stations)
            self.stations.append(name)
            self.raw.append([NAN] * self.days)
            for view in self._views.values():
                view.add_station()
        return number

    def view(self, transform: str) -> View:
        """The panel on that scale; made at first use, then kept in step with every day."""
        view = self._views.get(transform)
        if view is None:
            view = self._views[transform] = View(transform)
            for _ in self.stations:
                view.add_station()
            for day in range(self.days):
                view.add_day([series[day] for series in self.raw])
        return view

    def observe(self, ordinal: int, values: Mapping[str, object]) -> Optional[int]:
        """Append the measurements of one day; days in between stay empty.

        A day that is known already, as the last day of the history is when the first round repeats
        it, is left as it was and gives None.
        """
        if self.days and ordinal < self.first + self.days:
            return None
        if self.days and ordinal > self.first + self.days + MAX_GAP_DAYS:
            raise ValueError("a day lies more than ten years after the last one: check its date")
        for name in values:
            self.station(name)
        if not self.days:
            self.first = ordinal
        while self.first + self.days < ordinal:
            self._append([NAN] * len(self.stations))
        row = [NAN] * len(self.stations)
        for name, value in values.items():
            row[self.index[name]] = clean(value)
        self._append(row)
        return self.days - 1

    def _append(self, row: Sequence[float]) -> None:
        for series, value in zip(self.raw, row):
            series.append(value)
        self.days += 1
        for view in self._views.values():
            view.add_day(row)

    def day_number(self, ordinal: int) -> int:
        """The position of a date in the series; may lie outside it."""
        return ordinal - self.first


def read_values(path: str) -> Panel:
    """Read a table with a `date` column and one column a station; empty cells are gaps.

    Days may be missing but must rise. ValueError names the line that cannot be read.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = [cell.strip() for cell in next(reader, [])]
        if len(header) < 2 or header[0] != "date":
            raise ValueError(f"{os.path.basename(path)}: the first line must be date,STATION,...")
        if len(set(header)) != len(header):
            raise ValueError(f"{os.path.basename(path)}: a station has two columns")
        panel = Panel(header[1:])
        for line, row in enumerate(reader, start=2):
            if not row:
                continue
            try:
                ordinal = parse_day(row[0])
            except ValueError:
                raise ValueError(
                    f"{os.path.basename(path)}, line {line}: {row[0]!r} is not a date (YYYY-MM-DD)"
                ) from None
            if panel.observe(ordinal, dict(zip(header[1:], row[1:]))) is None:
                raise ValueError(f"{os.path.basename(path)}, line {line}: dates must rise")
    return panel


def read_sites(path: str) -> Dict[str, Tuple[float, float]]:
    """Read station coordinates (longitude, latitude in degrees); unreadable rows are left out."""
    sites: Dict[str, Tuple[float, float]] = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            name = (row.get("station") or row.get("site") or "").strip()
            try:
                lon, lat = float(row.get("lon") or ""), float(row.get("lat") or "")
            except ValueError:
                continue
            if name and -180 <= lon <= 180 and -90 <= lat <= 90:
                sites[name] = (lon, lat)
    return sites


def find_tables(folder: str) -> Tuple[Optional[str], Optional[str]]:
    """The paths of the measurements and the coordinates in a folder, told by their first line."""
    values = sites = None
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if not name.endswith(".csv"):
                continue
            path = os.path.join(parent, name)
            with open(path, encoding="utf-8-sig", errors="replace") as file:
                header = [cell.strip() for cell in file.readline().split(",")]
            if header[0] == "date" and values is None:
                values = path
            elif {"lon", "lat"} <= set(header) and sites is None:
                sites = path
    return values, sites
