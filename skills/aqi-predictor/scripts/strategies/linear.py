"""Ridge regression that can be grown day by day, and the base of the strategies built on it."""
from __future__ import annotations

import math
from operator import mul
from typing import List, Optional, Sequence

Row = List[float]


class Moments:
    """Weighted sums of products of columns: all that a linear fit needs to know of its rows.

    The first column is the constant 1, the last one is the target.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.sums = [[0.0] * width for _ in range(width)]  # the upper triangle is used
        self.count = 0  # rows, each counted once whatever its weight

    def add(self, columns: Sequence[Sequence[float]], weights: Optional[Sequence[float]]) -> None:
        """Add rows, given column by column."""
        self.count += len(columns[0])
        for i, left in enumerate(columns):
            weighted = left if weights is None else list(map(mul, left, weights))
            sums = self.sums[i]
            for j in range(i, self.width):
                sums[j] += sum(map(mul, weighted, columns[j]))

    def merge(self, other: "Moments") -> None:
        """Add the rows of another."""
        self.count += other.count
        for mine, theirs in zip(self.sums, other.sums):
            for j, value in enumerate(theirs):
                mine[j] += value

    def solve(self, ridge: float) -> Optional[Row]:
        """Coefficients, the constant first; None if there is too little to learn from.

        Columns are standardised, so one penalty fits all; `ridge` counts in rows: it weighs as much
        as that many rows of pure noise would. A column that never varies gets the coefficient 0.
        """
        total = self.sums[0][0]  # of the weights
        last = self.width - 1
        if self.count < 2.0 or not 0.0 < total < math.inf:
            return None
        mean = [self.sums[0][j] / total for j in range(self.width)]
        spread = [
            math.sqrt(max(0.0, self.sums[j][j] / total - mean[j] * mean[j]))
            for j in range(self.width)
        ]
        used = [j for j in range(1, last) if spread[j] > 1e-7 * (1.0 + abs(mean[j]))]
        penalty = max(ridge / self.count, 1e-6)
        matrix = []
        for a, i in enumerate(used):
            row = []
            for j in used[: a + 1]:
                covariance = self.sums[j][i] / total - mean[i] * mean[j]
                row.append(covariance / (spread[i] * spread[j]) + (penalty if i == j else 0.0))
            matrix.append(row)
        right = [(self.sums[i][last] / total - mean[i] * mean[last]) / spread[i] for i in used]
        solution = cholesky_solve(matrix, right)
        if solution is None:
            return None
        coefficients = [0.0] * last
        for i, value in zip(used, solution):
            coefficients[i] = value / spread[i]
        coefficients[0] = mean[last] - sum(map(mul, coefficients[1:], mean[1:last]))
        return coefficients


def cholesky_solve(lower: List[Row], right: Row) -> Optional[Row]:
    """Solve A x = b for the symmetric A whose lower triangle is given (and overwritten).

    None if A is not positive definite.
    """
    size = len(right)
    for i in range(size):
        row = lower[i]
        for j in range(i):
            other = lower[j]
            row[j] = (row[j] - sum(map(mul, row[:j], other[:j]))) / other[j]
        rest = row[i] - sum(map(mul, row[:i], row[:i]))
        if rest <= 1e-12:
            return None
        row[i] = math.sqrt(rest)
    forward: Row = []
    for i in range(size):
        forward.append((right[i] - sum(map(mul, lower[i][:i], forward))) / lower[i][i])
    result = [0.0] * size
    for i in range(size - 1, -1, -1):
        value = forward[i]
        for j in range(i + 1, size):
            value -= lower[j][i] * result[j]
        result[i] = value / lower[i][i]
    return result
