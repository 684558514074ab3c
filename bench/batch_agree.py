"""Compares the files that the batch benchmark wrote.

    python batch_agree.py FILE FILE…

Each has the 30 columns of the input and then its score as the last column. The
columns must hold the same numbers and the scores must be equal as floats of 32
bits do: to a part in a million. Ends with 1 where they are not.
"""

import sys

import numpy as np
import polars as pl

COLUMNS = [f"f{i}" for i in range(30)]
# What the order of a sum of 100 floats of 32 bits changes.
CLOSE = 1e-6


def batches(file):
    frame = pl.scan_csv(file)
    score = frame.collect_schema().names()[-1]
    return frame.select(*COLUMNS, score=pl.col(score)).collect_batches(maintain_order=True, chunk_size=100_000)


def rows(file):
    return pl.scan_csv(file).select(pl.len()).collect().item()


def main():
    first, *others = sys.argv[1:]
    count = rows(first)
    for other in others:
        if rows(other) != count:
            raise SystemExit(f"{other} has {rows(other)} rows, {first} {count}")
        done, worst = 0, 0.0
        ours = theirs = None
        left, right = iter(batches(first)), iter(batches(other))
        while done < count:
            ours = next(left) if ours is None or ours.is_empty() else ours
            theirs = next(right) if theirs is None or theirs.is_empty() else theirs
            size = min(len(ours), len(theirs))
            a, b = ours.head(size), theirs.head(size)
            if not a.select(COLUMNS).equals(b.select(COLUMNS)):
                raise SystemExit(f"{first} and {other}: columns of the input differ near row {done}")
            apart = np.abs(a["score"].to_numpy() - b["score"].to_numpy())
            # A score that is missing is no number and not close to one.
            if not (apart <= CLOSE).all():
                raise SystemExit(f"{first} and {other}: scores differ by {apart.max()} near row {done}")
            worst = max(worst, float(apart.max(initial=0.0)))
            ours, theirs = ours.slice(size), theirs.slice(size)
            done += size
        print(f"{count:,} rows agree, scores to {worst:.1e}: {other}", file=sys.stderr)


if __name__ == "__main__":
    main()
