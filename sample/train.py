#!/usr/bin/env python3
"""Train the sample model that `umpire quickstart` deploys.

    python3 -m venv target/sample-venv
    target/sample-venv/bin/pip install -r sample/requirements.txt
    target/sample-venv/bin/python sample/train.py

Reads the Palmer penguins as the PyPI package `palmerpenguins` ships them,
fits a pipeline that names the species of a penguin from where it was seen, its
sex and four measures, and writes into crates/app/sample/:

    penguins.onnx    the pipeline
    penguins.csv     forty rows to score, gaps included
    expected.json    what ONNX Runtime answers for these rows
    README.md        source, licence, how good the model is

Same versions, same bytes: every random choice has a seed.
"""

import csv
import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import palmerpenguins
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

SEED = 20070101
SAMPLE_ROWS = 40
OUT = Path(__file__).resolve().parent.parent / "crates" / "app" / "sample"

# In the order of the original table.
COLUMNS = [
    "island",
    "bill_length_mm",
    "bill_depth_mm",
    "flipper_length_mm",
    "body_mass_g",
    "sex",
]
CATEGORIES = {"island": ["Biscoe", "Dream", "Torgersen"], "sex": ["female", "male"]}
NUMBERS = [name for name in COLUMNS if name not in CATEGORIES]


def load():
    """The table as (features, species); a missing word is "", a missing number NaN."""
    table = palmerpenguins.load_penguins()
    features = table[COLUMNS].copy()
    for name in CATEGORIES:
        features[name] = features[name].astype(object).fillna("")
    for name in NUMBERS:
        features[name] = features[name].astype(np.float32)
    return features, table["species"].astype(str).to_numpy()


def pipeline():
    """A linear model and a forest, averaged: each is wrong on other birds."""
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            # A sex that nobody wrote down belongs to no category: all zeros.
            (
                "categories",
                OneHotEncoder(categories=list(CATEGORIES.values()), handle_unknown="ignore"),
                list(CATEGORIES),
            ),
        ]
    )
    vote = VotingClassifier(
        [
            ("linear", LogisticRegression(max_iter=1000, random_state=SEED)),
            ("forest", RandomForestClassifier(40, max_depth=5, random_state=SEED)),
        ],
        voting="soft",
        flatten_transform=False,  # the only form that skl2onnx exports
    )
    return make_pipeline(prepare, vote)


def export(fitted):
    """The fitted pipeline as an ONNX model with one input a column."""
    model = to_onnx(
        fitted,
        name="penguins",
        initial_types=[
            (name, StringTensorType([None, 1]) if name in CATEGORIES else FloatTensorType([None, 1]))
            for name in COLUMNS
        ],
        options={id(fitted): {"zipmap": False}},
        target_opset={"": 15, "ai.onnx.ml": 3},
    )
    for node in model.graph.node:
        # The converter writes the mean of the two votes with the variadic Sum;
        # with two inputs Add is the same, and every engine has it.
        if node.op_type == "Sum" and len(node.input) == 2:
            node.op_type = "Add"
    model.doc_string = "Species of a penguin (Adelie, Chinstrap, Gentoo) from six columns."
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model, features):
    """Labels and probabilities as ONNX Runtime gives them."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {name: features[[name]].to_numpy() for name in COLUMNS}
    labels, probabilities = session.run(["label", "probabilities"], feeds)
    return labels, probabilities


def cell(name, value):
    """One CSV cell: digits as in the original table, nothing where it has none."""
    if name in CATEGORIES:
        return value
    if math.isnan(value):
        return ""
    return f"{value:.1f}" if name.startswith("bill") else f"{value:.0f}"


def main():
    features, species = load()
    model = pipeline()

    folds = StratifiedKFold(5, shuffle=True, random_state=SEED)
    classes = sorted(set(species))
    guessed = cross_val_predict(model, features, species, cv=folds, method="predict_proba")
    accuracy = accuracy_score(species, np.array(classes)[guessed.argmax(axis=1)])
    loss = log_loss(species, guessed, labels=classes)

    model.fit(features, species)
    exported = export(model)
    labels, probabilities = run(exported, features)
    difference = float(np.abs(probabilities - model.predict_proba(features)).max())
    if list(labels) != list(model.predict(features)) or difference > 1e-5:
        raise SystemExit(f"the exported model answers otherwise: {difference}")

    # Every row with a gap, and others by chance, in the order of the table.
    gaps = features[NUMBERS].isna().any(axis=1) | (features["sex"] == "")
    chance = np.random.default_rng(SEED).permutation(np.flatnonzero(~gaps.to_numpy()))
    chosen = np.sort(np.concatenate([np.flatnonzero(gaps.to_numpy()), chance[: SAMPLE_ROWS - gaps.sum()]]))
    sample = features.iloc[chosen]

    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "penguins.onnx").write_bytes(exported.SerializeToString())
    with open(OUT / "penguins.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in sample.itertuples(index=False):
            writer.writerow([cell(name, value) for name, value in zip(COLUMNS, row)])

    labels, probabilities = run(exported, sample)
    expected = {
        "classes": classes,
        "labels": [str(label) for label in labels],
        # An f32 by its shortest digits.
        "probabilities": [[float(str(p)) for p in row] for row in probabilities],
    }
    lines = ",\n    ".join(json.dumps(row) for row in expected["probabilities"])
    (OUT / "expected.json").write_text(
        "{\n"
        f'  "classes": {json.dumps(expected["classes"])},\n'
        f'  "labels": {json.dumps(expected["labels"])},\n'
        f'  "probabilities": [\n    {lines}\n  ]\n'
        "}\n"
    )

    size = len(exported.SerializeToString())
    (OUT / "README.md").write_text(
        README.format(
            rows=len(species),
            gaps=int(gaps.sum()),
            sample=len(sample),
            accuracy=accuracy,
            loss=loss,
            size=size,
        )
    )
    print(f"rows {len(species)}, with gaps {gaps.sum()}")
    print(f"cross-validated accuracy {accuracy:.4f}, log loss {loss:.4f}")
    print(f"largest difference from scikit-learn {difference:.1e}")
    print(f"wrote {OUT}: {size} bytes of model, {len(sample)} rows")


README = """\
# The sample model

`umpire quickstart` deploys it. It names the species of a penguin (Adelie,
Chinstrap or Gentoo) from the island where it was seen, its sex and four
measures; a number that is missing is filled with the median, a sex that is
missing belongs to neither category.

| file | what |
|---|---|
| `penguins.onnx` | the pipeline: imputer and scaler, one-hot encoders, the mean of a logistic regression and a random forest ({size:,} bytes) |
| `penguins.csv` | {sample} rows to score, the {gaps} with gaps among them |
| `expected.json` | ONNX Runtime's answer for these rows |

**Data.** Palmer penguins, {rows} birds, as the PyPI package `palmerpenguins`
0.1.6 ships them. Collected by Dr. Kristen Gorman and the Palmer Station Long
Term Ecological Research program; published by Allison Horst, Alison Hill and
Kristen Gorman. Gorman KB, Williams TD, Fraser WR (2014), Ecological Sexual
Dimorphism and Environmental Variability within a Community of Antarctic
Penguins (Genus *Pygoscelis*), PLoS ONE 9(3): e90081.

**Licence.** The data are CC0 1.0 (public domain); the model and these files
are part of this project and under its licence (Apache-2.0).

**How good.** Five-fold cross-validation, stratified, shuffled by a fixed seed:
accuracy {accuracy:.4f}, log loss {loss:.4f}. The model is then fitted on all rows, so
the rows of `penguins.csv` were seen in training: they show the form of a call,
not the quality of an answer.

Written by `sample/train.py`; do not edit by hand.
"""


if __name__ == "__main__":
    main()
