"""The peers of the batch benchmark, as a careful person writes them.

    python batch_peers.py NAME MODEL_DIR IN.csv OUT.csv

reads a CSV file with a header, adds a column `score` and writes all columns.
Both use two threads where their libraries can.

pandas-onnxruntime   pandas in chunks of 50,000 rows and ONNX Runtime
polars-xgboost       polars and XGBoost, in batches as polars reads them
"""

import os
import sys
from pathlib import Path

THREADS = 2
COLUMNS = [f"f{i}" for i in range(30)]
CHUNK = 50_000


def pandas_onnxruntime(folder, source, target):
    import numpy as np
    import onnxruntime
    import pandas as pd

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        str(folder / "boosted.onnx"), options, providers=["CPUExecutionProvider"]
    )
    with open(target, "w", newline="") as out:
        for number, chunk in enumerate(pd.read_csv(source, chunksize=CHUNK)):
            features = chunk[COLUMNS].to_numpy(dtype=np.float32)
            (probability,) = session.run(None, {"features": features})
            chunk["score"] = probability[:, 0]
            chunk.to_csv(out, index=False, header=number == 0)


def polars_xgboost(folder, source, target):
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import numpy as np
    import polars as pl
    import xgboost

    booster = xgboost.Booster({"nthread": THREADS}, model_file=str(folder / "boosted.json"))

    with open(target, "wb") as out:
        batches = pl.scan_csv(source).collect_batches(maintain_order=True)
        for number, batch in enumerate(batches):
            features = batch.select(pl.col(COLUMNS).cast(pl.Float32)).to_numpy()
            score = booster.inplace_predict(features, validate_features=False)
            batch.with_columns(pl.Series("score", score)).write_csv(out, include_header=number == 0)


PEERS = {"pandas-onnxruntime": pandas_onnxruntime, "polars-xgboost": polars_xgboost}

if __name__ == "__main__":
    PEERS[sys.argv[1]](Path(sys.argv[2]), sys.argv[3], sys.argv[4])
