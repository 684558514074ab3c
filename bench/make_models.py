"""The models, sample rows and request bodies of the benchmark.

    python make_models.py OUT_DIR

trees   gradient boosting, 100 trees of depth 6, on 30 numbers, two classes
mixed   14 columns (6 numbers with gaps, 8 of text): imputer and scaler,
        one-hot encoders, logistic regression

For each: NAME.onnx, NAME.csv (sample rows to deploy with), NAME_ROWS.json (a
classic request body). The data are made from a seed, so that every run
measures the same trees; speed does not ask what they mean.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SEED = 20140710
OPSET = {"": 15, "ai.onnx.ml": 3}


def body(frame, rows):
    """A classic request in the table form; a gap is null."""
    values = json.loads(frame.head(rows).to_json(orient="values", double_precision=6))
    request = {
        "Inputs": {"input1": {"ColumnNames": list(frame.columns), "Values": values}},
        "GlobalParameters": {},
    }
    return json.dumps(request, separators=(",", ":"))


def trees(out):
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(4000, 30)).round(4)
    signal = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + x[:, 3] - x[:, 4] ** 2 + 0.3 * x[:, 5:].sum(axis=1)
    y = (signal + rng.normal(scale=0.5, size=len(x)) > np.median(signal)).astype(int)
    model = GradientBoostingClassifier(
        n_estimators=100, max_depth=6, max_features=10, random_state=SEED
    ).fit(x, y)
    exported = to_onnx(
        model,
        name="trees",
        initial_types=[("features", FloatTensorType([None, 30]))],
        options={id(model): {"zipmap": False}},
        target_opset=OPSET,
    )
    frame = pd.DataFrame(x, columns=[f"f{i}" for i in range(30)])
    write(out, "trees", exported, frame, [1, 100])


NUMBERS = ["age", "income", "hours", "balance", "children", "years"]
WORDS = {
    "job": ["clerk", "engineer", "farmer", "manager", "nurse", "sales", "teacher", "other"],
    "education": ["none", "primary", "secondary", "bachelor", "master", "doctorate"],
    "marital": ["single", "married", "divorced", "widowed"],
    "region": ["north", "east", "south", "west"],
    "sex": ["female", "male"],
    "housing": ["own", "rent", "free"],
    "contact": ["mail", "phone", "none"],
    "segment": ["a", "b", "c", "d", "e"],
}


def mixed(out):
    rng = np.random.default_rng(SEED + 1)
    rows = 3000
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows).astype(float),
            "income": rng.gamma(3, 12000, rows).round(2),
            "hours": rng.integers(0, 80, rows).astype(float),
            "balance": rng.normal(500, 2000, rows).round(2),
            "children": rng.integers(0, 6, rows).astype(float),
            "years": rng.uniform(0, 40, rows).round(1),
            **{name: rng.choice(words, rows) for name, words in WORDS.items()},
        }
    )
    frame["job"] = frame["job"].astype(object)
    y = (
        frame["income"] / 36000
        + (frame["education"].isin(["bachelor", "master", "doctorate"]))
        + frame["age"] / 60
        + rng.normal(scale=0.6, size=rows)
        > 2.3
    ).astype(int)
    for name in ("income", "balance", "years"):
        frame.loc[rng.random(rows) < 0.05, name] = np.nan
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("words", OneHotEncoder(categories=list(WORDS.values()), handle_unknown="ignore"), list(WORDS)),
        ]
    )
    model = make_pipeline(prepare, LogisticRegression(max_iter=1000)).fit(frame, y)
    exported = to_onnx(
        model,
        name="mixed",
        initial_types=[(n, FloatTensorType([None, 1])) for n in NUMBERS]
        + [(n, StringTensorType([None, 1])) for n in WORDS],
        options={id(model): {"zipmap": False}},
        target_opset=OPSET,
    )
    write(out, "mixed", exported, frame, [1])


def write(out, name, model, frame, sizes):
    (out / f"{name}.onnx").write_bytes(model.SerializeToString())
    frame.head(200).to_csv(out / f"{name}.csv", index=False)
    for rows in sizes:
        (out / f"{name}_{rows}.json").write_text(body(frame, rows))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    trees(target)
    mixed(target)
