"""The model of the batch benchmark, and its input.

    python make_batch.py OUT_DIR

boosted.json   XGBoost: 100 trees of depth 6 on 30 numbers, two classes
boosted.onnx   the same trees for ONNX Runtime
boosted.csv    sample rows to deploy with

    python make_batch.py rows FILE ROWS

A CSV file of so many rows, the same for the same number. All data are made from
a seed, so that every run measures the same trees on the same rows; speed does
not ask what they mean.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import xgboost
from onnx import helper

SEED = 20140710
COLUMNS = [f"f{i}" for i in range(30)]
TREES, DEPTH = 100, 6
# Rows that are made and written at a time.
BLOCK = 100_000


def numbers(rng, rows):
    return rng.normal(size=(rows, len(COLUMNS))).round(4)


def booster():
    rng = np.random.default_rng(SEED)
    x = numbers(rng, 20_000)
    signal = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + x[:, 3] - x[:, 4] ** 2 + 0.3 * x[:, 5:].sum(axis=1)
    y = (signal + rng.normal(scale=0.5, size=len(x)) > np.median(signal)).astype(int)
    parameters = {
        "objective": "binary:logistic",
        "base_score": 0.5,
        "max_depth": DEPTH,
        "eta": 0.1,
        "nthread": 1,
        "seed": SEED,
    }
    return xgboost.train(parameters, xgboost.DMatrix(x, y, feature_names=COLUMNS), TREES), x


def to_onnx(booster):
    """The trees as an ONNX model that answers the probability of the second class.

    XGBoost goes left where the value is less than the threshold, and where it
    is missing as the node says: BRANCH_LT is that comparison.
    """
    nodes = {name: [] for name in "treeids nodeids featureids modes values truenodeids falsenodeids".split()}
    missing, leaves = [], {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]):
        for node, left in enumerate(tree["left_children"]):
            leaf = left == -1
            row = (
                number,
                node,
                0 if leaf else tree["split_indices"][node],
                "LEAF" if leaf else "BRANCH_LT",
                0.0 if leaf else tree["split_conditions"][node],
                0 if leaf else left,
                0 if leaf else tree["right_children"][node],
            )
            for values, value in zip(nodes.values(), row):
                values.append(value)
            missing.append(0 if leaf else int(tree["default_left"][node]))
            if leaf:
                for values, value in zip(leaves.values(), (number, node, 0, tree["split_conditions"][node])):
                    values.append(value)
    # A base score of a half is nothing on the scale of the sum.
    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["sum"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_missing_value_tracks_true=missing,
        **{f"nodes_{name}": values for name, values in nodes.items()},
        **{f"target_{name}": values for name, values in leaves.items()},
    )
    graph = helper.make_graph(
        [trees, helper.make_node("Sigmoid", ["sum"], ["probability"])],
        "boosted",
        [helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, [None, len(COLUMNS)])],
        [helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, [None, 1])],
    )
    opset = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return model


def frame(x):
    return pl.DataFrame(dict(zip(COLUMNS, x.T)))


def make_model(out):
    out.mkdir(parents=True, exist_ok=True)
    trained, x = booster()
    trained.save_model(out / "boosted.json")
    (out / "boosted.onnx").write_bytes(to_onnx(trained).SerializeToString())
    frame(x[:200]).write_csv(out / "boosted.csv")


def make_rows(file, rows):
    with open(file, "wb") as out:
        for number, first in enumerate(range(0, rows, BLOCK)):
            rng = np.random.default_rng([SEED, number])
            x = numbers(rng, min(BLOCK, rows - first))
            frame(x).write_csv(out, include_header=first == 0)


if __name__ == "__main__":
    if sys.argv[1] == "rows":
        make_rows(sys.argv[2], int(sys.argv[3]))
    else:
        make_model(Path(sys.argv[1]))
