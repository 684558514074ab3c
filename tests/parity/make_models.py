"""Trains small models from a seed and writes, for each, the ONNX file, rows of input and what ONNX
Runtime gives for them. The Rust tests of the engine compare their results with these files.

    python make_models.py SEED OUTDIR [small]

Writes OUTDIR/models/NAME/model.onnx and case.json for each model, and OUTDIR/models.txt with the
names. In case.json a number that JSON has no place for is written as null (NaN), "inf" or "-inf".
With `small` it writes the few tiny models that are kept in crates/models/tests/data.
"""

import json
import math
import pathlib
import sys
import tempfile
import warnings

import numpy as np
import onnxruntime
import pandas as pd
import skl2onnx.common._container
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier, LGBMRegressor
from onnx import TensorProto, TypeProto, ValueInfoProto, helper, numpy_helper
from onnxmltools.convert import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
from skl2onnx import convert_sklearn, to_onnx, update_registered_converter
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DictionaryType,
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
from sklearn.base import is_classifier, is_clusterer, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.impute import SimpleImputer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from xgboost import XGBClassifier, XGBRegressor

warnings.filterwarnings("ignore")

# skl2onnx 1.20 gives arrays and truth values as attributes, which this version of onnx refuses.
make_node = skl2onnx.common._container.make_node


def plain(value):
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [int(v) if isinstance(v, (bool, np.bool_)) else v for v in value]
    return value


def make_node_of_lists(*names, **attributes):
    return make_node(*names, **{k: plain(v) for k, v in attributes.items()})


skl2onnx.common._container.make_node = make_node_of_lists

FEATURES = 14
TRAIN = 600
ROWS = 1000
OPSETS = {"": 18, "ai.onnx.ml": 3}


class Data:
    """Training and test data, the same for the same seed."""

    def __init__(self, seed, rows=ROWS):
        rng = np.random.default_rng(seed)
        total = TRAIN + rows
        # Values with few digits meet thresholds exactly now and then.
        x = np.round(rng.normal(size=(total, FEATURES)) * 3, 2).astype(np.float32)
        signal = x[:, 0] - 0.5 * x[:, 1] * x[:, 2] + np.sin(x[:, 3]) * 2 + np.abs(x[:, 4])
        noise = rng.normal(size=total)
        self.x = x
        self.gaps = x.copy()
        self.gaps[rng.random(x.shape) < 0.1] = np.nan
        self.y = (signal + noise).astype(np.float64)
        self.two = (signal + noise > np.median(signal)).astype(np.int64)
        self.three = np.digitize(signal + noise, np.quantile(signal, [0.33, 0.66])).astype(np.int64)
        self.names = np.array(["low", "middle", "high"])[self.three]
        self.yes_no = np.array(["no", "yes"])[self.two]
        jobs = np.array(["Adm-clerical", "Sales", "Tech support", "Exec"])
        self.adult = pd.DataFrame(
            {
                "age": rng.integers(17, 90, total).astype(np.float32),
                "education-num": rng.integers(1, 16, total).astype(np.float32),
                "hours-per-week": rng.integers(1, 99, total).astype(np.float32),
                "occupation": rng.choice(jobs, total),
                "sex": rng.choice(["Female", "Male"], total),
            }
        )
        money = (
            self.adult["education-num"] * 2
            + (self.adult["occupation"] == "Exec") * 10
            + self.adult["age"] / 10
            + noise * 3
        )
        self.rich = np.where(money > money.median(), ">50K", "<=50K")
        self.counts = rng.integers(0, 9, (total, FEATURES)).astype(np.int64)
        words = "The quick Brown fox jumps over a lazy dog not_now 42 café naïve re-do end".split()
        joints = np.array([" ", " ", " ", ", ", ". ", "  ", " - ", "!"])
        self.texts = np.array(
            ["".join(w + j for w, j in zip(rng.choice(words, n), rng.choice(joints, n))) for n in rng.integers(1, 12, total)]
        )
        self.codes = rng.integers(0, 5, (total, 3)).astype(np.float32)


def number(v):
    v = float(v)
    if math.isnan(v):
        return None
    if math.isinf(v):
        return "inf" if v > 0 else "-inf"
    return v


def values(array):
    kind = array.dtype.kind
    flat = array.ravel()
    if kind == "f":
        return [number(v) for v in flat]
    if kind in "iu":
        return [int(v) for v in flat]
    if kind == "b":
        return [bool(v) for v in flat]
    return [str(v) for v in flat]


def type_name(array):
    return {"float32": "float", "float64": "double", "int64": "int64", "int32": "int32", "bool": "bool"}.get(
        str(array.dtype), "string"
    )


def output(name, value):
    if isinstance(value, list):
        keys = list(value[0].keys())
        table = np.array([[row[k] for k in keys] for row in value], dtype=np.float32)
        return {
            "name": name,
            "kind": "maps",
            "keys": [str(k) for k in keys],
            "type": "float",
            "shape": list(table.shape),
            "values": values(table),
        }
    return {
        "name": name,
        "kind": "tensor",
        "type": type_name(value),
        "shape": list(value.shape),
        "values": values(value),
    }


def task(estimator):
    """What kind of model it is, and the classes of a classifier."""
    if is_classifier(estimator):
        return {"task": "classifier", "classes": [str(c) for c in estimator.classes_]}
    if is_regressor(estimator):
        return {"task": "regressor"}
    return {"task": "clusterer" if is_clusterer(estimator) else "other"}


def run(model, feeds):
    """`feeds` is a batch, or a list of them, one a row: a map is one row."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    if isinstance(feeds, list):
        rows = zip(*(session.run(names, row) for row in feeds))
        results = [sum(parts, []) if isinstance(parts[0], list) else np.concatenate(parts) for parts in rows]
    else:
        results = session.run(names, feeds)
    return [output(n, v) for n, v in zip(names, results)]


def disagreement(estimator, rows, outputs):
    """The part of the rows for which ONNX Runtime and the library that trained the model differ; None
    where the library's results cannot be told apart from the outputs."""
    if is_classifier(estimator) or is_clusterer(estimator):
        found = [np.asarray(estimator.predict(rows)).astype(str).ravel()]
        theirs = [np.array([str(v) for v in outputs[0]["values"]])]
        if hasattr(estimator, "predict_proba") and len(outputs) > 1:
            found.append(estimator.predict_proba(rows))
            theirs.append(np.array(outputs[1]["values"], dtype=float))
    else:
        predict = estimator.predict if hasattr(estimator, "predict") else estimator.transform
        found = [np.asarray(predict(rows))]
        theirs = [np.array(outputs[0]["values"], dtype=float)]
    apart = np.zeros(len(found[0]), bool)
    for a, b in zip(found, theirs):
        if a.size != b.size:
            return None
        a, b = a.reshape(len(apart), -1), b.reshape(len(apart), -1)
        same = a == b if a.dtype.kind == "U" else np.isclose(a.astype(float), b, rtol=1e-3, atol=1e-4, equal_nan=True)
        apart |= ~same.all(axis=1)
    return apart.mean()


class Writer:
    def __init__(self, out):
        self.out = out
        self.names = []
        self.skipped = []
        self.apart = []

    def write(self, name, make, tolerance=None):
        """`make` answers the model's bytes, the columns (name, array), the feeds, what it is and, where
        it has them, the rows as the library takes them. `tolerance` is for models whose own
        arithmetic loses more than a few last bits."""
        try:
            model, columns, feeds, estimator, *own = make()
            outputs = run(model, feeds)
            apart = disagreement(estimator, own[0], outputs) if own else None
        except Exception as error:  # an exporter that cannot take a model is not our failure
            self.skipped.append(f"{name}: {type(error).__name__}: {str(error)[:160]}")
            return
        if apart is not None and apart > 0.01:
            self.apart.append(f"{name}: {apart:.1%} of the rows")
        folder = self.out / "models" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.onnx").write_bytes(model)
        case = {
            "columns": [
                {"name": n, "type": type_name(a), "values": values(a)} for n, a in columns
            ],
            "outputs": outputs,
            # A gap is a value that is missing there, and not one that is no number.
            "gaps_are_missing": isinstance(feeds, list),
            **({"tolerance": tolerance} if tolerance else {}),
            **task(estimator),
        }
        (folder / "case.json").write_text(json.dumps(case))
        self.names.append(name)


def matrix(estimator, x, y, options=None, kind=FloatTensorType, opsets=None, dtype=np.float32):
    """A model over one matrix of features."""

    def make():
        fitted = estimator.fit(x[:TRAIN], None if y is None else y[:TRAIN])
        model = convert_sklearn(
            fitted,
            initial_types=[("X", kind([None, x.shape[1]]))],
            options=None if options is None else {id(fitted): options},
            target_opset=opsets or OPSETS,
        ).SerializeToString()
        rows = x[TRAIN:].astype(dtype)
        columns = [(f"f{i}", rows[:, i]) for i in range(rows.shape[1])]
        return model, columns, {"X": rows}, fitted, rows

    return make


def frame(estimator, table, y, options=None):
    """A model over one input a column, whose names the exporter changes."""

    def make():
        fitted = estimator.fit(table[:TRAIN], y[:TRAIN])
        initial = []
        for column in table.columns:
            text = table[column].dtype.kind not in "fi"
            initial.append((column, (StringTensorType if text else FloatTensorType)([None, 1])))
        model = convert_sklearn(
            fitted,
            initial_types=initial,
            options=None if options is None else {id(fitted): options},
            target_opset=OPSETS,
        )
        rows = table[TRAIN:]
        columns, feeds = [], {}
        for given, column in zip(model.graph.input, table.columns):
            array = rows[column].to_numpy()
            if array.dtype.kind not in "fi":
                array = array.astype(object)
            columns.append((column, array))
            feeds[given.name] = array.reshape(-1, 1)
        return model.SerializeToString(), columns, feeds, fitted, rows

    return make


def xgboost(estimator, x, y):
    def make():
        fitted = estimator.fit(x[:TRAIN], y[:TRAIN])
        model = convert_xgboost(fitted, initial_types=[("X", ToolsFloat([None, x.shape[1]]))])
        rows = x[TRAIN:]
        columns = [(f"f{i}", rows[:, i]) for i in range(rows.shape[1])]
        return model.SerializeToString(), columns, {"X": rows}, fitted, rows

    return make


def catboost(estimator, x, y):
    """CatBoost writes the file itself."""

    def make():
        fitted = estimator.fit(x[:TRAIN], y[:TRAIN], verbose=False)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.onnx"
            fitted.save_model(str(path), format="onnx")
            model = path.read_bytes()
        rows = x[TRAIN:]
        columns = [(f"f{i}", rows[:, i]) for i in range(rows.shape[1])]
        return model, columns, {"features": rows}, fitted, rows

    return make


def register_lightgbm():
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"], "raw_scores": [True, False]}
    update_registered_converter(
        LGBMClassifier,
        "LightGbmLGBMClassifier",
        calculate_linear_classifier_output_shapes,
        convert_lightgbm,
        options=options,
    )
    update_registered_converter(
        LGBMRegressor,
        "LightGbmLGBMRegressor",
        calculate_linear_regressor_output_shapes,
        convert_lightgbm,
        options={"split": None},
    )


def documents(estimator, texts, y, options=None):
    """A model over one column of text."""

    def make():
        fitted = estimator.fit(texts[:TRAIN], y[:TRAIN])
        # Without it the exporter leaves a locale in the model that few machines have.
        chosen = {id(fitted.steps[0][1]): {"locale": "C"}}
        if options is not None:
            chosen[id(fitted)] = options
        model = convert_sklearn(
            fitted,
            initial_types=[("text", StringTensorType([None, 1]))],
            options=chosen,
            target_opset=OPSETS,
        ).SerializeToString()
        rows = texts[TRAIN:].astype(object)
        return model, [("text", rows)], {"text": rows.reshape(-1, 1)}, fitted, rows

    return make


def dictionaries(estimator, table, y, options=None):
    """A pipeline that begins with a DictVectorizer over these numbers; a gap is a key left out."""

    def make():
        maps = [{k: float(v) for k, v in row.items() if not math.isnan(v)} for row in table.to_dict("records")]
        fitted = estimator.fit(maps[:TRAIN], y[:TRAIN])
        model = convert_sklearn(
            fitted,
            initial_types=[("features", DictionaryType(StringTensorType([1]), FloatTensorType([1])))],
            options={id(fitted): options} if options else None,
            target_opset=OPSETS,
        ).SerializeToString()
        columns = [(str(n), table[n].to_numpy(np.float32)[TRAIN:]) for n in table.columns]
        return model, columns, [{"features": row} for row in maps[TRAIN:]], fitted, maps[TRAIN:]

    return make


def cast_map(x, cast_to, **attributes):
    """A CastMap, and a LinearRegressor over what it makes of the numbers."""

    def make():
        width = x.shape[1]
        weights = [0.5 * (k + 1) for k in range(attributes.get("max_map", width))]
        nodes = [
            helper.make_node("CastMap", ["map"], ["cast"], domain="ai.onnx.ml", cast_to=cast_to, **attributes),
            helper.make_node("Cast", ["cast"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("LinearRegressor", ["numbers"], ["y"], domain="ai.onnx.ml", coefficients=weights, intercepts=[0.25]),
        ]
        value = TypeProto()
        value.map_type.key_type = TensorProto.INT64
        value.map_type.value_type.tensor_type.elem_type = TensorProto.FLOAT
        given = ValueInfoProto(name="map", type=value)
        found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
        opsets = [helper.make_opsetid(d, v) for d, v in OPSETS.items()]
        model = helper.make_model(helper.make_graph(nodes, "g", [given], [found]), opset_imports=opsets)
        model.ir_version = 8
        rows = x[TRAIN:]
        feeds = [{"map": {k: float(v) for k, v in enumerate(row) if not math.isnan(v)}} for row in rows]
        columns = [(str(k), rows[:, k].astype(np.float32)) for k in range(width)]
        return model.SerializeToString(), columns, feeds, linear_model.LinearRegression()

    return make


class Network:
    """A network with random weights, node by node."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def weight(self, *shape, scale=0.5):
        return self.constant((self.rng.normal(size=shape) * scale).astype(np.float32))

    def constant(self, array):
        self.weights.append(numpy_helper.from_array(np.asarray(array), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def add(self, op, *inputs, **attributes):
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def dense(self, x, given, made):
        return self.add("Add", self.add("MatMul", x, self.weight(given, made)), self.weight(made))

    def norm(self, x, width):
        ones = self.constant(np.ones(width, np.float32))
        return self.add("LayerNormalization", x, ones, self.weight(width, scale=0.1), axis=-1)

    def gelu(self, x):
        root = self.constant(np.float32(math.sqrt(2)))
        half = self.constant(np.float32(0.5))
        one = self.constant(np.float32(1))
        return self.add("Mul", self.add("Mul", x, half), self.add("Add", self.add("Erf", self.add("Div", x, root)), one))


def network(seed, inputs, build, rows=100):
    """`inputs` are (name, shape of a row, numbers or the number of words); `build` adds the nodes and
    answers the name of the result and its shape of a row."""

    def make(first=None):
        n = Network(seed)
        result, shape = build(n)
        values, feeds, columns = [], {}, []
        for name, row, kind in inputs:
            if kind == "numbers":
                array = np.round(n.rng.normal(size=(rows, *row)), 3).astype(np.float32)
            elif kind == "mask":
                array = (np.arange(row[0]) < n.rng.integers(1, row[0] + 1, (rows, 1))).astype(np.int64)
            else:
                array = n.rng.integers(0, kind, (rows, *row))
            code = TensorProto.FLOAT if kind == "numbers" else TensorProto.INT64
            values.append(helper.make_tensor_value_info(name, code, [first or "N", *row]))
            flat = array.reshape(rows, -1)
            columns += [(f"{name}{k}", flat[:, k]) for k in range(flat.shape[1])]
            feeds[name] = array
        found = helper.make_tensor_value_info(result, TensorProto.FLOAT, [first or "N", *shape])
        graph = helper.make_graph(n.nodes, "g", values, [found], n.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        model.ir_version = 8
        if first:
            feeds = [{name: array[i : i + 1] for name, array in feeds.items()} for i in range(rows)]
        return model.SerializeToString(), columns, feeds, PCA()

    return make


def convolutions(n):
    x = n.add("Relu", n.add("Conv", "image", n.weight(4, 1, 3, 3), n.weight(4), pads=[1, 1, 1, 1]))
    x = n.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    scale, shift, mean, spread = (n.constant(np.abs(n.rng.normal(size=4)).astype(np.float32) + 0.1) for _ in range(4))
    x = n.add("BatchNormalization", x, scale, shift, mean, spread)
    x = n.add("Relu", n.add("Conv", x, n.weight(8, 4, 3, 3), n.weight(8)))
    x = n.add("Flatten", n.add("GlobalAveragePool", x))
    return n.add("Softmax", n.add("Gemm", x, n.weight(8, 3), n.weight(3)), axis=-1), [3]


def recurrent(n):
    x = n.add("Transpose", "steps", perm=[1, 0, 2])
    n.nodes.append(helper.make_node("LSTM", [x, n.weight(1, 16, 2), n.weight(1, 16, 4), n.weight(1, 32)], ["all", "last", "cell"], hidden_size=4))
    x = n.add("Squeeze", "last", n.constant(np.array([0])))
    return n.add("Gemm", x, n.weight(4, 1), n.weight(1)), [1]


def transformer(n, width=16, heads=2, layers=2, words=50, length=12):
    """Word and place embeddings, layers of masked attention, the mean of the words that are there."""
    x = n.add("Gather", n.weight(words, width), "input_ids")
    x = n.norm(n.add("Add", x, n.weight(length, width)), width)
    mask = n.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    away = n.add("Mul", n.add("Sub", n.constant(np.float32(1)), mask), n.constant(np.float32(-1e4)))
    away = n.add("Unsqueeze", away, n.constant(np.array([1, 2])))
    split = n.constant(np.array([0, length, heads, width // heads]))
    joined = n.constant(np.array([0, length, width]))
    for _ in range(layers):
        parts = [n.add("Reshape", n.dense(x, width, width), split) for _ in range(3)]
        q, v = (n.add("Transpose", parts[k], perm=[0, 2, 1, 3]) for k in (0, 2))
        k = n.add("Transpose", parts[1], perm=[0, 2, 3, 1])
        scores = n.add("Div", n.add("MatMul", q, k), n.constant(np.float32(math.sqrt(width // heads))))
        y = n.add("MatMul", n.add("Softmax", n.add("Add", scores, away), axis=-1), v)
        y = n.add("Reshape", n.add("Transpose", y, perm=[0, 2, 1, 3]), joined)
        x = n.norm(n.add("Add", x, n.dense(y, width, width)), width)
        x = n.norm(n.add("Add", x, n.dense(n.gelu(n.dense(x, width, 32)), 32, width)), width)
    there = n.add("Unsqueeze", mask, n.constant(np.array([2])))
    one = n.constant(np.array([1]))
    total = n.add("ReduceSum", n.add("Mul", x, there), one, keepdims=0)
    return n.add("Div", total, n.add("ReduceSum", there, one, keepdims=0)), [width]


def adult(final):
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        ColumnTransformer(
            [
                ("n", numbers, ["age", "education-num", "hours-per-week"]),
                ("t", texts, ["occupation", "sex"]),
            ]
        ),
        final,
    )


def small(seed, out):
    """The models that are kept with the tests, so that a clean clone without Python tests too."""
    d = Data(seed, rows=12)
    w = Writer(out)
    register_lightgbm()
    names = d.x[:, :4], d.names
    w.write("logistic", matrix(linear_model.LogisticRegression(), *names))
    w.write("forest", matrix(ensemble.RandomForestClassifier(4, max_depth=4, random_state=seed), *names, {"zipmap": False}))
    w.write("lightgbm", matrix(LGBMClassifier(n_estimators=4, num_leaves=8, verbose=-1), d.gaps[:, :4], d.two))
    w.write("adult", frame(adult(linear_model.LogisticRegression(max_iter=500)), d.adult, d.rich))
    w.write("regression", matrix(tree.DecisionTreeRegressor(max_depth=4, random_state=seed), d.x[:, :4], d.y))
    w.write("kmeans", matrix(KMeans(3, n_init=2, random_state=seed), d.x[:, :4], None))
    w.write("pca", matrix(PCA(2), d.x[:, :4], None))
    numbers = pd.DataFrame(d.gaps[:, :3], columns=["age", "city=Oslo", "hours"])
    w.write("maps", dictionaries(make_pipeline(DictVectorizer(sparse=False), linear_model.LinearRegression()), numbers, d.y))
    w.write("network", network(seed, [("image", (1, 8, 8), "numbers")], convolutions, rows=8))
    finish(w, out)


def finish(w, out):
    (out / "models.txt").write_text("\n".join(w.names) + "\n")
    print(f"{len(w.names)} models written to {out}")
    for line in w.skipped:
        print("not exported:", line)
    for line in w.apart:
        print("ONNX Runtime and the library differ:", line)


def main(seed, out):
    d = Data(seed)
    w = Writer(out)
    register_lightgbm()
    r = seed
    no_map = {"zipmap": False}

    w.write("linear_regression", matrix(linear_model.LinearRegression(), d.x, d.y))
    w.write("ridge_two_targets", matrix(linear_model.Ridge(), d.x, np.c_[d.y, -d.y]))
    w.write("elastic_net", matrix(linear_model.ElasticNet(0.1), d.x, d.y))
    w.write("linear_double", matrix(linear_model.LinearRegression(), d.x, d.y, kind=DoubleTensorType, dtype=np.float64))
    w.write("poisson", matrix(linear_model.PoissonRegressor(), d.x, np.abs(d.y)))
    w.write("logistic_two", matrix(linear_model.LogisticRegression(max_iter=500), d.x, d.two))
    w.write("logistic_two_plain", matrix(linear_model.LogisticRegression(max_iter=500), d.x, d.two, no_map))
    w.write("logistic_three", matrix(linear_model.LogisticRegression(max_iter=500), d.x, d.three))
    w.write("logistic_names", matrix(linear_model.LogisticRegression(max_iter=500), d.x, d.names))
    w.write("logistic_rest", matrix(OneVsRestClassifier(linear_model.LogisticRegression(max_iter=500)), d.x, d.names, no_map))
    w.write("logistic_ints", matrix(linear_model.LogisticRegression(max_iter=500), d.counts, d.three, kind=Int64TensorType, dtype=np.int64))
    w.write("ridge_classifier", matrix(linear_model.RidgeClassifier(), d.x, d.two, no_map))
    w.write("sgd", matrix(linear_model.SGDClassifier(loss="log_loss", random_state=r), d.x, d.three, no_map))
    w.write("perceptron", matrix(linear_model.Perceptron(random_state=r), d.x, d.two, no_map))
    w.write("lda", matrix(LinearDiscriminantAnalysis(), d.x, d.names))
    w.write("qda", matrix(QuadraticDiscriminantAnalysis(), d.x, d.three, no_map))

    w.write("tree_two", matrix(tree.DecisionTreeClassifier(max_depth=6, random_state=r), d.x, d.two))
    w.write("tree_names", matrix(tree.DecisionTreeClassifier(random_state=r), d.x, d.names, no_map))
    w.write("tree_regression", matrix(tree.DecisionTreeRegressor(max_depth=8, random_state=r), d.x, d.y))
    w.write("tree_two_targets", matrix(tree.DecisionTreeRegressor(max_depth=5, random_state=r), d.x, np.c_[d.y, d.y * 2]))
    w.write("forest_two", matrix(ensemble.RandomForestClassifier(30, max_depth=8, random_state=r), d.x, d.two))
    w.write("forest_names", matrix(ensemble.RandomForestClassifier(30, random_state=r), d.x, d.names))
    w.write("forest_hundred", matrix(ensemble.RandomForestClassifier(100, max_depth=6, random_state=r), d.x, d.two, no_map))
    w.write("forest_regression", matrix(ensemble.RandomForestRegressor(30, random_state=r), d.x, d.y))
    w.write("extra_trees", matrix(ensemble.ExtraTreesClassifier(30, max_depth=9, random_state=r), d.x, d.three, no_map))
    w.write("extra_trees_regression", matrix(ensemble.ExtraTreesRegressor(20, random_state=r), d.x, d.y))
    w.write("boosting_two", matrix(ensemble.GradientBoostingClassifier(n_estimators=50, random_state=r), d.x, d.two))
    w.write("boosting_three", matrix(ensemble.GradientBoostingClassifier(n_estimators=20, random_state=r), d.x, d.names, no_map))
    w.write("boosting_regression", matrix(ensemble.GradientBoostingRegressor(n_estimators=50, random_state=r), d.x, d.y))
    w.write("histogram_two", matrix(ensemble.HistGradientBoostingClassifier(max_iter=30), d.gaps, d.two, no_map))
    w.write("histogram_three", matrix(ensemble.HistGradientBoostingClassifier(max_iter=10), d.gaps, d.three, no_map))
    w.write("histogram_regression", matrix(ensemble.HistGradientBoostingRegressor(max_iter=30), d.gaps, d.y))
    w.write("ada_boost", matrix(ensemble.AdaBoostClassifier(n_estimators=10, random_state=r), d.x, d.three, no_map))
    w.write("ada_boost_regression", matrix(ensemble.AdaBoostRegressor(n_estimators=10, random_state=r), d.x, d.y))
    w.write("bagging", matrix(ensemble.BaggingClassifier(n_estimators=8, random_state=r), d.x, d.two, no_map))
    w.write("isolation_forest", matrix(ensemble.IsolationForest(n_estimators=10, random_state=r), d.x, None, opsets={"": 15, "ai.onnx.ml": 3}))
    w.write("voting", matrix(ensemble.VotingClassifier([("a", linear_model.LogisticRegression(max_iter=500)), ("b", tree.DecisionTreeClassifier(max_depth=4))], voting="soft", flatten_transform=False), d.x, d.names, no_map))
    w.write("stacking", matrix(ensemble.StackingClassifier([("a", linear_model.LogisticRegression(max_iter=500)), ("b", tree.DecisionTreeClassifier(max_depth=4))]), d.x, d.two, no_map))
    w.write("calibrated", matrix(CalibratedClassifierCV(svm.LinearSVC(), cv=2), d.x, d.three, no_map))

    cat = dict(random_seed=r, allow_writing_files=False, thread_count=1)
    w.write("catboost_two", catboost(CatBoostClassifier(iterations=40, depth=6, **cat), d.x, d.two))
    w.write("catboost_gaps", catboost(CatBoostClassifier(iterations=40, depth=5, **cat), d.gaps, d.two))
    w.write("catboost_three", catboost(CatBoostClassifier(iterations=20, depth=4, **cat), d.x, d.three))
    w.write("catboost_names", catboost(CatBoostClassifier(iterations=20, depth=4, **cat), d.x, d.yes_no))
    w.write("catboost_regression", catboost(CatBoostRegressor(iterations=60, depth=8, **cat), d.x, d.y))
    w.write("catboost_regression_gaps", catboost(CatBoostRegressor(iterations=60, depth=6, **cat), d.gaps, d.y))
    w.write("catboost_stump", catboost(CatBoostRegressor(iterations=1, depth=1, **cat), d.x[:, :1], d.y))
    w.write("lightgbm_two", matrix(LGBMClassifier(n_estimators=40, verbose=-1), d.gaps, d.two))
    w.write("lightgbm_two_plain", matrix(LGBMClassifier(n_estimators=40, verbose=-1), d.x, d.yes_no, no_map))
    w.write("lightgbm_three", matrix(LGBMClassifier(n_estimators=15, verbose=-1), d.gaps, d.names, no_map))
    w.write("lightgbm_regression", matrix(LGBMRegressor(n_estimators=40, verbose=-1), d.gaps, d.y))
    mixed = np.c_[d.codes, d.x[:, :4]].astype(np.float32)
    categorical = LGBMRegressor(n_estimators=20, verbose=-1, categorical_feature=[0, 1, 2], min_data_per_group=5, cat_smooth=1)
    w.write("lightgbm_categories", matrix(categorical, mixed, d.y + d.codes[:, 0] ** 2))
    w.write("xgboost_two", xgboost(XGBClassifier(n_estimators=40, max_depth=5), d.gaps, d.two))
    w.write("xgboost_three", xgboost(XGBClassifier(n_estimators=15, max_depth=4), d.gaps, d.three))
    w.write("xgboost_regression", xgboost(XGBRegressor(n_estimators=40, max_depth=5), d.gaps, d.y))
    w.write("xgboost_plain", xgboost(XGBRegressor(n_estimators=100, max_depth=6), d.x, d.y))

    w.write("mlp_two", matrix(neural_network.MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=200, random_state=r), d.x, d.two))
    w.write("mlp_names", matrix(neural_network.MLPClassifier(hidden_layer_sizes=(16,), activation="tanh", max_iter=200, random_state=r), d.x, d.names, no_map))
    w.write("mlp_regression", matrix(neural_network.MLPRegressor(hidden_layer_sizes=(16, 8), max_iter=200, random_state=r), d.x, d.y))
    w.write("mlp_logistic", matrix(neural_network.MLPRegressor(hidden_layer_sizes=(8,), activation="logistic", max_iter=200, random_state=r), d.x, d.y))
    w.write("svc_two", matrix(svm.SVC(probability=True, random_state=r), d.x, d.two))
    w.write("svc_names", matrix(svm.SVC(probability=True, random_state=r), d.x, d.names, no_map))
    w.write("svc_scores", matrix(svm.SVC(kernel="poly", degree=2), d.x, d.two, no_map))
    w.write("svc_four", matrix(svm.SVC(kernel="sigmoid"), d.x, d.three + d.two, no_map))
    w.write("nu_svc", matrix(make_pipeline(StandardScaler(), svm.NuSVC(nu=0.6, probability=True, random_state=r)), d.x, d.two))
    w.write("linear_svc", matrix(svm.LinearSVC(), d.x, d.three))
    w.write("svr", matrix(svm.SVR(), d.x, d.y))
    w.write("svr_linear", matrix(make_pipeline(StandardScaler(), svm.SVR(kernel="linear", C=0.1)), d.x[:, :4], d.y))
    w.write("one_class", matrix(svm.OneClassSVM(nu=0.2), d.x, None))
    w.write("neighbours", matrix(neighbors.KNeighborsClassifier(5), d.x, d.three))
    w.write("neighbours_names", matrix(neighbors.KNeighborsClassifier(3, weights="distance"), d.x, d.names, no_map))
    w.write("neighbours_regression", matrix(neighbors.KNeighborsRegressor(4), d.x, d.y))
    w.write("gaussian_bayes", matrix(naive_bayes.GaussianNB(), d.x, d.three))
    # Sums of logarithms in the hundreds, in single precision: a last bit of them is 1e-5 of a probability.
    w.write("multinomial_bayes", matrix(naive_bayes.MultinomialNB(), np.abs(d.x), d.three, no_map), tolerance=1e-4)
    w.write("bernoulli_bayes", matrix(naive_bayes.BernoulliNB(), d.x, d.names, no_map))
    w.write("gaussian_process", matrix(GaussianProcessRegressor(RBF(3.0), alpha=0.5), d.x[:, :5], d.y, kind=DoubleTensorType, dtype=np.float64))
    w.write("kmeans", matrix(KMeans(4, n_init=2, random_state=r), d.x, None))
    w.write("mini_kmeans", matrix(MiniBatchKMeans(3, n_init=2, random_state=r), d.x, None))

    w.write("pca", matrix(PCA(4), d.x, None))
    w.write("svd", matrix(TruncatedSVD(3, random_state=r), d.x, None))
    w.write("pca_logistic", matrix(make_pipeline(StandardScaler(), PCA(5), linear_model.LogisticRegression()), d.x, d.names))
    w.write("standard", matrix(StandardScaler(), d.x, None))
    w.write("min_max", matrix(MinMaxScaler(clip=True), d.x, None))
    w.write("max_abs", matrix(MaxAbsScaler(), d.x, None))
    w.write("robust", matrix(RobustScaler(), d.x, None))
    for norm in ("l1", "l2", "max"):
        w.write(f"normalizer_{norm}", matrix(Normalizer(norm), d.x, None))
    w.write("binarizer", matrix(Binarizer(threshold=0.5), d.x, None))
    w.write("imputer", matrix(SimpleImputer(strategy="mean"), d.gaps, None))
    w.write("imputer_forest", matrix(make_pipeline(SimpleImputer(), ensemble.RandomForestClassifier(10, random_state=r)), d.gaps, d.two))
    w.write("polynomial", matrix(PolynomialFeatures(2), d.x[:, :4], None))
    w.write("bins", matrix(KBinsDiscretizer(4, encode="onehot-dense", random_state=r, quantile_method="averaged_inverted_cdf"), d.x[:, :3], None))
    w.write("bins_ordinal", matrix(KBinsDiscretizer(4, encode="ordinal", strategy="uniform"), d.x[:, :3], None))
    w.write("power", matrix(PowerTransformer(), d.x[:, :3], None))
    w.write("select", matrix(make_pipeline(SelectKBest(k=5), linear_model.LogisticRegression()), d.x, d.two))
    w.write("union", matrix(make_union(StandardScaler(), PCA(2)), d.x, None))
    w.write("function", matrix(FunctionTransformer(), d.x, None))

    w.write("adult_logistic", frame(adult(linear_model.LogisticRegression(max_iter=500)), d.adult, d.rich))
    w.write("adult_boosting", frame(adult(ensemble.GradientBoostingClassifier(n_estimators=20, random_state=r)), d.adult, d.rich))
    w.write("adult_lightgbm", frame(adult(LGBMClassifier(n_estimators=20, verbose=-1)), d.adult, d.rich, no_map))
    gaps = d.adult.copy()
    gaps.loc[gaps.index % 7 == 0, "age"] = np.nan
    w.write("adult_gaps", frame(adult(linear_model.LogisticRegression(max_iter=500)), gaps, d.rich))
    ordinal = make_pipeline(
        ColumnTransformer(
            [
                ("o", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["occupation", "sex"]),
                ("n", "passthrough", ["age"]),
            ]
        ),
        ensemble.RandomForestRegressor(10, random_state=r),
    )
    w.write("adult_ordinal", frame(ordinal, d.adult[["occupation", "sex", "age"]], d.y))
    unseen = d.adult.copy()
    unseen.loc[unseen.index[TRAIN:], "occupation"] = np.where(
        np.arange(len(unseen) - TRAIN) % 5 == 0, "Astronaut", unseen["occupation"][TRAIN:]
    )
    w.write("adult_unseen", frame(adult(linear_model.LogisticRegression(max_iter=500)), unseen, d.rich))
    w.write("one_hot_codes", matrix(OneHotEncoder(sparse_output=False), d.codes.astype(np.int64), None, kind=Int64TensorType, dtype=np.int64))
    w.write("booleans", matrix(FunctionTransformer(), d.codes > 2, None, kind=BooleanTensorType, dtype=bool))

    words = "[a-zA-Z0-9_]+"
    logistic = linear_model.LogisticRegression(max_iter=500)
    numbers = pd.DataFrame(d.gaps, columns=[f"n{k}" for k in range(d.gaps.shape[1])])
    w.write("maps_logistic", dictionaries(make_pipeline(DictVectorizer(sparse=False), logistic), numbers, d.names))
    w.write("maps_forest", dictionaries(make_pipeline(DictVectorizer(sparse=False), ensemble.RandomForestClassifier(8, random_state=r)), numbers, d.two, no_map))
    w.write("cast_map_dense", cast_map(d.x, "TO_FLOAT"))
    w.write("cast_map_sparse", cast_map(d.gaps, "TO_FLOAT", map_form="SPARSE", max_map=d.gaps.shape[1]))
    w.write("cast_map_whole", cast_map(d.gaps * 10, "TO_INT64", map_form="SPARSE", max_map=d.gaps.shape[1]))
    image = [("image", (1, 8, 8), "numbers")]
    tokens = [("input_ids", (12,), 50), ("attention_mask", (12,), "mask")]
    w.write("network_convolutions", network(r, image, convolutions))
    w.write("network_one_image", lambda: network(r, image, convolutions, rows=8)(first=1))
    w.write("network_recurrent", network(r, [("steps", (6, 2), "numbers")], recurrent))
    w.write("network_transformer", network(r, tokens, transformer))
    w.write("text_counts", documents(make_pipeline(CountVectorizer(token_pattern=words), logistic), d.texts, d.two, no_map))
    w.write("text_default", documents(make_pipeline(CountVectorizer(), logistic), d.texts, d.names))
    w.write("text_tfidf", documents(make_pipeline(TfidfVectorizer(token_pattern=words), logistic), d.texts, d.names))
    w.write("text_pairs", documents(make_pipeline(TfidfVectorizer(token_pattern=words, ngram_range=(1, 2), sublinear_tf=True), logistic), d.texts, d.two, no_map))
    w.write("text_stop_words", documents(make_pipeline(CountVectorizer(token_pattern=words, stop_words=["the", "fox"], binary=True), logistic), d.texts, d.two, no_map))
    w.write("text_upper", documents(make_pipeline(TfidfVectorizer(token_pattern="[A-Za-z]+", lowercase=False, norm="l1"), logistic), d.texts, d.three, no_map))
    w.write("text_characters", documents(make_pipeline(TfidfVectorizer(analyzer="char", ngram_range=(1, 2)), logistic), d.texts, d.two, no_map))
    w.write("text_forest", documents(make_pipeline(CountVectorizer(token_pattern=words), ensemble.RandomForestClassifier(8, random_state=r)), d.texts, d.two, no_map))

    # Older and newer operator sets of the same model.
    for main_set, ml in ((9, 1), (11, 2), (15, 3), (21, 3)):
        opsets = {"": main_set, "ai.onnx.ml": ml}
        w.write(f"opset_{main_set}_mlp", matrix(neural_network.MLPClassifier(hidden_layer_sizes=(8,), max_iter=100, random_state=r), d.x, d.three, opsets=opsets))
        w.write(f"opset_{main_set}_bayes", matrix(naive_bayes.GaussianNB(), d.x, d.names, no_map, opsets=opsets))
        w.write(f"opset_{main_set}_forest", matrix(ensemble.RandomForestClassifier(5, random_state=r), d.x, d.names, no_map, opsets=opsets))
        w.write(f"opset_{main_set}_kmeans", matrix(KMeans(3, n_init=2, random_state=r), d.x, None, opsets=opsets))

    finish(w, out)


if __name__ == "__main__":
    write = small if sys.argv[3:] == ["small"] else main
    write(int(sys.argv[1]), pathlib.Path(sys.argv[2]))
