"""Writes one small model an operator and a set of attributes, with inputs and what ONNX Runtime
gives for them, to OUTDIR/operators.json. The Rust tests of the engine compare with it.

    python make_operators.py SEED OUTDIR
"""

import json
import math
import pathlib
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}
NAMES = {"float32": "float", "float64": "double", "int64": "int64", "int32": "int32", "bool": "bool"}
ML = "ai.onnx.ml"


def code(array):
    return TYPES.get(str(array.dtype), TensorProto.STRING)


def cell(v):
    if isinstance(v, (float, np.floating)):
        v = float(v)
        if math.isnan(v):
            return None
        if math.isinf(v):
            return "inf" if v > 0 else "-inf"
        return v
    if isinstance(v, (bool, np.bool_)):
        return bool(v)
    if isinstance(v, (int, np.integer)):
        return int(v)
    return str(v)


def tensor(name, array):
    array = np.asarray(array)
    return {
        "name": name,
        "type": NAMES.get(str(array.dtype), "string"),
        "shape": list(array.shape),
        "values": [cell(v) for v in array.ravel()],
    }


class Cases:
    def __init__(self):
        self.list = []
        self.refused = []

    def add(self, op, inputs, outputs, domain="", opset=18, ml=3, constant=(), title="", **attributes):
        """`outputs` are element types; inputs whose numbers stand in `constant` are initialisers;
        an input of None is left out."""
        names = ["" if a is None else f"i{k}" for k, a in enumerate(inputs)]
        outs = [f"o{k}" for k in range(len(outputs))]
        node = helper.make_node(op, names, outs, domain=domain, **attributes)
        given = [(n, np.asarray(a)) for n, a in zip(names, inputs) if a is not None]
        fixed = [names[k] for k in constant]
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info(n, code(a), None) for n, a in given if n not in fixed],
            [helper.make_tensor_value_info(n, t, None) for n, t in zip(outs, outputs)],
            [numpy_helper.from_array(a, n) for n, a in given if n in fixed],
        )
        model = helper.make_model(
            graph,
            opset_imports=[
                helper.make_opsetid("", opset),
                helper.make_opsetid(ML, ml),
                helper.make_opsetid("com.microsoft", 1),
            ],
        )
        model.ir_version = 8
        bytes_ = model.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        name = f"{op} {title}".strip() + f" #{len(self.list)}"
        try:
            session = onnxruntime.InferenceSession(bytes_, options, providers=["CPUExecutionProvider"])
            feeds = {n: a for n, a in given if n not in fixed}
            results = session.run(outs, feeds)
        except Exception as error:
            self.refused.append(f"{name}: {str(error)[:200]}")
            return
        self.list.append(
            {
                "name": name,
                "model": bytes_.hex(),
                "inputs": [tensor(n, a) for n, a in given if n not in fixed],
                "outputs": [tensor(n, a) for n, a in zip(outs, results)],
            }
        )


F, D, I, J, B, S = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.INT32,
    TensorProto.BOOL,
    TensorProto.STRING,
)


def f32(*shape_or_values):
    return np.array(shape_or_values, np.float32)


def strings(*values):
    return np.array(values, dtype=object)


def basic(c, rng):
    x = rng.normal(size=(3, 4)).astype(np.float32) * 3
    special = f32(np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 0.5, 3e-8, 50.0, -50.0)
    for op in (
        "Abs Ceil Elu Erf Exp Floor HardSigmoid LeakyRelu Log Neg Reciprocal Relu Round Selu Sigmoid "
        "Sign Softplus Softsign Sqrt Tanh ThresholdedRelu Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh "
        "Acosh Atanh"
    ).split():
        c.add(op, [x], [F])
        c.add(op, [special], [F], title="special")
    for op in "Abs Ceil Exp Floor Log Neg Reciprocal Relu Round Sigmoid Sign Sqrt Tanh".split():
        c.add(op, [x.astype(np.float64)], [D], title="double")
    for op in "Abs Neg Sign".split():
        c.add(op, [np.array([-3, 0, 5])], [I])
        c.add(op, [np.array([-3, 0, 5], np.int32)], [J])
    c.add("Elu", [x], [F], alpha=0.3)
    c.add("HardSigmoid", [x], [F], alpha=0.4, beta=0.1)
    shapes = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 4), (3, 1)), ((1, 4), (3, 1)), ((), (3, 4)), ((2, 1, 4), (3, 1)), ((0, 4), (1, 4))]
    for op in "Add Sub Mul Div Pow".split():
        for a, b in shapes:
            p = np.abs(rng.normal(size=a)).astype(np.float32)
            q = rng.normal(size=b).astype(np.float32)
            c.add(op, [p, q], [F])
        c.add(op, [rng.normal(size=(2, 2)) ** 2, rng.normal(size=(2,))], [D])
        if op != "Pow":
            c.add(op, [np.array([7, -7, 9]), np.array([2, 2, -4])], [I])
            c.add(op, [np.array([7, -7, 9], np.int32), np.array([2, 2, -4], np.int32)], [J])
    c.add("Pow", [f32(2, 3, -2), np.array([2, -1, 3])], [F])
    c.add("Pow", [np.array([2, 3, -2]), f32(0.5, 2, 3)], [I])
    c.add("Mod", [np.array([7, -7, 7, -7]), np.array([3, 3, -3, -3])], [I])
    c.add("Mod", [f32(7.5, -7.5), f32(2, 2)], [F], fmod=1)
    for op in "Min Max Sum Mean".split():
        c.add(op, [x, x[::-1].copy(), x[:1]], [F])
        c.add(op, [x], [F])
        c.add(op, [special, f32(1)], [F], title="special")
        c.add(op, [f32(1), special], [F], title="special")
    c.add("Max", [np.array([1, 5]), np.array([3])], [I])
    c.add("Clip", [x, np.float32(-1), np.float32(1)], [F], constant=(1, 2))
    c.add("Clip", [special, np.array(-1, np.float32), None], [F])
    c.add("Clip", [special, None, np.array(1, np.float32)], [F])
    c.add("Clip", [x], [F], opset=10, min=-0.5, max=0.5)
    c.add("Clip", [np.array([1, 5, 9]), np.array(2), np.array(6)], [I])
    for op in "Equal Less LessOrEqual Greater GreaterOrEqual".split():
        c.add(op, [special, special[::-1].copy()], [B])
        c.add(op, [np.array([1, 2, 3]), np.array(2)], [B])
    c.add("Equal", [strings("a", "b"), strings("a", "c")], [B], opset=19)
    c.add("Equal", [np.array([True, False]), np.array([True, True])], [B])
    for op in "And Or Xor".split():
        c.add(op, [np.array([[True], [False]]), np.array([True, False])], [B])
    c.add("Not", [np.array([True, False])], [B])
    c.add("Where", [np.array([[True], [False]]), x[:2], f32(9)], [F])
    c.add("Where", [np.array([True, False]), strings("a", "b"), strings("c")], [S])
    c.add("IsNaN", [special], [B])
    c.add("IsInf", [special], [B])
    c.add("IsInf", [special], [B], detect_negative=0)


def sums(c, rng):
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    gaps = f32([1, np.nan, 3], [5, 2, 2], [-np.inf, -np.inf, -np.inf], [np.inf, 0, 1])
    for op in "Sum SumSquare Mean Max Min Prod L1 L2 LogSumExp LogSum".split():
        op = "Reduce" + op
        data = np.abs(x) if op == "ReduceLogSum" else x
        old = 12 if op == "ReduceSum" else 17
        for axes, keep in (([1], 1), ([0, 2], 0), ([-1], 1), ([0], 0), (None, 0), (None, 1)):
            extra = {} if axes is None else {"axes": axes}
            c.add(op, [data], [F], opset=old, keepdims=keep, **extra)
            given = None if axes is None else np.array(axes)
            c.add(op, [data, given], [F], opset=18, keepdims=keep)
        c.add(op, [data, None], [F], opset=18, noop_with_empty_axes=1)
        if op not in ("ReduceLogSum", "ReduceMax", "ReduceMin"):
            c.add(op, [gaps], [F], opset=old, axes=[1], title="special")
        c.add(op, [data.astype(np.float64)], [D], opset=old, axes=[1])
    for op in ("ReduceSum", "ReduceMax", "ReduceProd", "ReduceMin"):
        c.add(op, [np.arange(1, 7).reshape(2, 3)], [I], opset=12, axes=[1])
    ties = f32([1, 3, 3], [2, 2, 1])
    for op in ("ArgMax", "ArgMin"):
        for axis in (0, 1, -1):
            c.add(op, [ties], [I], axis=axis)
            c.add(op, [ties], [I], axis=axis, keepdims=0, select_last_index=1)
        c.add(op, [x], [I], axis=1)
    for flags in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
        c.add("CumSum", [x, np.array(1)], [F], **flags)
    for opset in (11, 13):
        for axis in (0, 1, 2, -1):
            c.add("Softmax", [x], [F], opset=opset, axis=axis)
            c.add("LogSoftmax", [x], [F], opset=opset, axis=axis)
        c.add("Softmax", [x], [F], opset=opset)
    c.add("Softmax", [f32([1000, 1000, 0], [-1000, 0, 1])], [F])
    c.add("LpNormalization", [x], [F], axis=1, p=1)
    c.add("LpNormalization", [x], [F], axis=-1, p=2)
    channels = [rng.normal(size=3).astype(np.float32) for _ in range(3)] + [f32(0.5, 1.5, 2.5)]
    c.add("BatchNormalization", [x] + channels, [F], opset=15)
    c.add("BatchNormalization", [x[0].T.copy()] + channels, [F], opset=9, epsilon=0.01)
    c.add("BatchNormalization", [x.astype(np.float64)] + [a.astype(np.float64) for a in channels], [D], opset=15)
    c.add("LayerNormalization", [x, f32(1, 2, 3, 4), f32(0.1, 0.2, 0.3, 0.4)], [F])
    c.add("LayerNormalization", [x, f32(1, 2, 3, 4)], [F], epsilon=0.1)
    c.add("LayerNormalization", [x, x[0]], [F], axis=1)
    c.add("PRelu", [x, f32(0.1, 0.2, 0.3, 0.4)], [F])
    c.add("PRelu", [x[0], f32(0.25)], [F], opset=15)
    c.add("Gemm", [x[0], x[1].T.copy()], [F])
    c.add("Gemm", [x[0], x[1], rng.normal(size=3).astype(np.float32)], [F], transB=1, alpha=0.5, beta=2.0)
    c.add("Gemm", [x[0], x[1], f32([1], [2], [3], [4])], [F], transA=1)
    c.add("Gemm", [x[0].astype(np.float64), x[1].astype(np.float64), np.array(1.0)], [D], transB=1)
    for a, b in (((3, 4), (4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 2)), ((2, 3, 4), (2, 4, 2)), ((1, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 2))):
        c.add("MatMul", [rng.normal(size=a).astype(np.float32), rng.normal(size=b).astype(np.float32)], [F])
    c.add("MatMul", [np.arange(6).reshape(2, 3), np.arange(3)], [I])
    for metric in ("euclidean", "sqeuclidean"):
        c.add("CDist", [x[0], x[1]], [F], domain="com.microsoft", metric=metric)
        c.add("CDist", [x[0].astype(np.float64), x[1].astype(np.float64)], [D], domain="com.microsoft", metric=metric)


def places(c, rng):
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    words = strings("a", "b", "c", "d", "e", "f").reshape(2, 3)
    for axis in (0, 1, -1):
        c.add("Concat", [x, x + 100], [F], axis=axis)
    c.add("Concat", [words, words], [S], axis=1)
    c.add("Concat", [np.array([1]), np.array([2, 3])], [I], axis=0)
    c.add("Split", [x], [F, F], opset=11, axis=1, split=[1, 2])
    c.add("Split", [x, np.array([1, 3])], [F, F], axis=2)
    c.add("Split", [np.arange(7, dtype=np.float32)], [F, F, F], axis=0, num_outputs=3)
    c.add("Split", [x], [F, F], opset=13, axis=0)
    c.add("Split", [words], [S, S, S], opset=13, axis=1)
    c.add("Slice", [x], [F], opset=9, starts=[0, 1], ends=[1, 3], axes=[0, 2])
    c.add("Slice", [x, np.array([1]), np.array([9]), np.array([-1]), np.array([2])], [F])
    c.add("Slice", [x, np.array([-1, 2]), np.array([-100, 0]), np.array([2, 1]), np.array([-2, -1])], [F])
    c.add("Slice", [x, np.array([5]), np.array([9]), np.array([2])], [F])
    c.add("Slice", [x, np.array([0]), np.array([2**62]), np.array([1]), np.array([2**40])], [F])
    c.add("Slice", [words, np.array([0]), np.array([1])], [S])
    c.add("Transpose", [x], [F])
    for perm in ([0, 2, 1], [1, 0, 2], [2, 0, 1], [0, 1, 2]):
        c.add("Transpose", [x], [F], perm=perm)
    c.add("Transpose", [words], [S])
    c.add("Expand", [f32([1], [2]), np.array([3, 1, 4])], [F])
    c.add("Expand", [f32([1, 2, 3]), np.array([2, 1])], [F])
    c.add("Tile", [x, np.array([1, 2, 3])], [F])
    c.add("Tile", [words, np.array([2, 1])], [S])
    for target in ([6, 4], [0, -1], [-1], [2, 1, 3, 4], [24]):
        c.add("Reshape", [x, np.array(target)], [F])
    c.add("Reshape", [np.zeros((0, 3), np.float32), np.array([0, 3])], [F], allowzero=1)
    for axis in (0, 1, 2, 3, -1):
        c.add("Flatten", [x], [F], axis=axis)
    c.add("Shape", [x], [I])
    c.add("Shape", [x], [I], start=1)
    c.add("Shape", [x], [I], start=-2, end=-1)
    c.add("Size", [x], [I])
    c.add("Squeeze", [x[:1, :, :1]], [F], opset=12, axes=[0])
    c.add("Squeeze", [x[:1, :, :1], np.array([-1])], [F])
    c.add("Squeeze", [x[:1, :, :1]], [F])
    c.add("Unsqueeze", [x], [F], opset=12, axes=[0, 4])
    c.add("Unsqueeze", [x, np.array([1, -1])], [F])
    c.add("Identity", [words], [S])
    c.add("ConstantOfShape", [np.array([2, 3])], [F])
    c.add("ConstantOfShape", [np.array([2])], [I], value=helper.make_tensor("v", I, [1], [7]))
    c.add("Range", [np.array(1), np.array(10), np.array(3)], [I])
    c.add("Range", [np.float32(1), np.float32(0), np.float32(-0.25)], [F])
    for axis in (0, 1, -1):
        c.add("Gather", [x, np.array([[0, -1], [1, 0]])], [F], axis=axis)
    c.add("Gather", [words, np.array(1)], [S], axis=1)
    c.add("Gather", [x, np.array([1], np.int32)], [F])
    c.add("GatherElements", [x[0], np.array([[0, 1], [-1, 2], [3, 0]])], [F], axis=1)
    c.add("GatherElements", [x[0], np.array([[2, 1, 0, -1]])], [F], axis=0)
    c.add("GatherND", [x, np.array([[0, 1], [1, -1]])], [F])
    c.add("GatherND", [x, np.array([[0, 1, 2]])], [F])
    c.add("GatherND", [x, np.array([[1], [2]])], [F], batch_dims=1)
    c.add("ScatterElements", [np.zeros((3, 3), np.float32), np.array([[1, 0, 2], [0, 2, 1]]), f32([1, 2, 3], [4, 5, 6])], [F], axis=0)
    c.add("ScatterElements", [np.zeros((1, 4)), np.array([[1, 1]]), np.array([[1.5, 2.0]])], [D], axis=1, reduction="add")
    c.add("Compress", [x, np.array([False, True])], [F], axis=1)
    c.add("Compress", [x, np.array([False, True, True])], [F])
    c.add("NonZero", [f32([1, 0, 2], [0, 0, np.nan])], [I])
    c.add("OneHot", [np.array([0, 2, -1, 9]), np.array(3), f32(0, 1)], [F])
    c.add("OneHot", [np.array([[0, 2]]), np.array([3]), np.array([5, 7])], [I], axis=1)
    ties = f32([1, 3, 3, 2], [2, 2, 1, np.nan])
    for largest in (0, 1):
        c.add("TopK", [ties, np.array([2])], [F, I], largest=largest)
        c.add("TopK", [ties, np.array([2])], [F, I], axis=0, largest=largest)
    c.add("TopK", [ties], [F, I], opset=9, k=3)
    f = f32(0, -0.0, 1, 1.5, 0.1, 1e-5, 123456789, 1e20, np.nan, np.inf, -np.inf, -7.9, 1e-45)
    for to in (F, D, B, S, I, J):
        c.add("Cast", [f], [to], to=to)
        c.add("Cast", [f.astype(np.float64)], [to], to=to)
        c.add("Cast", [np.array([0, -3, 2**40])], [to], to=to)
        c.add("Cast", [np.array([True, False])], [to], to=to)
    for to in (F, D, I, J):
        c.add("Cast", [strings("1", " -2.5", "3e2", "7")], [to], to=to)
    c.add("CastLike", [f32(1.5), np.array([1])], [I])


def body_of_distances(width):
    """What exporters scan with: the squared distances of one row to all others."""
    row = helper.make_tensor_value_info("row", F, [width])
    all_ = helper.make_tensor_value_info("all", F, [None, width])
    kept = helper.make_tensor_value_info("kept", F, None)
    out = helper.make_tensor_value_info("out", F, None)
    nodes = [
        helper.make_node("Identity", ["all"], ["kept"]),
        helper.make_node("Sub", ["all", "row"], ["diff"]),
        helper.make_node("ReduceSumSquare", ["diff"], ["squares"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["squares", "scale"], ["out"]),
    ]
    return helper.make_graph(nodes, "body", [all_, row], [kept, out])


def scan(c, rng):
    x = rng.normal(size=(5, 3)).astype(np.float32)
    y = rng.normal(size=(4, 3)).astype(np.float32)
    for extra in ({}, {"scan_input_directions": [1]}, {"scan_output_directions": [1]}):
        node = helper.make_node("Scan", ["y", "x"], ["state", "o"], num_scan_inputs=1, body=body_of_distances(3), **extra)
        graph = helper.make_graph(
            [node],
            "g",
            [helper.make_tensor_value_info(n, F, [None, 3]) for n in ("x", "y")],
            [helper.make_tensor_value_info(n, F, None) for n in ("state", "o")],
            [numpy_helper.from_array(f32(2.0), "scale")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
        model.ir_version = 8
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        results = session.run(["state", "o"], {"x": x, "y": y})
        c.list.append(
            {
                "name": f"Scan {extra}",
                "model": model.SerializeToString().hex(),
                "inputs": [tensor("x", x), tensor("y", y)],
                "outputs": [tensor("state", results[0]), tensor("o", results[1])],
            }
        )


TREE = dict(
    nodes_treeids=[0, 0, 0, 0, 0, 1, 1, 1],
    nodes_nodeids=[0, 1, 2, 3, 4, 0, 1, 2],
    nodes_featureids=[0, 1, 0, 0, 0, 1, 0, 0],
    nodes_truenodeids=[1, 3, 0, 0, 0, 1, 0, 0],
    nodes_falsenodeids=[2, 4, 0, 0, 0, 2, 0, 0],
)
THRESHOLDS = [0.5, -1.0, 0, 0, 0, 1.0, 0, 0]


def trees(c, rng):
    x = f32([0.5, -1.0], [0.4999, 1.0], [0.5001, 0.9999], [np.nan, np.nan], [-5, np.nan], [3, 3], [-0.0, -1.0])
    leaf = "LEAF"
    kinds = "BRANCH_LEQ BRANCH_LT BRANCH_GTE BRANCH_GT BRANCH_EQ BRANCH_NEQ".split()

    def tree(first, second, third, missing=None):
        given = dict(TREE, nodes_modes=[first, second, leaf, leaf, leaf, third, leaf, leaf], nodes_values=THRESHOLDS)
        if missing:
            given["nodes_missing_value_tracks_true"] = missing
        return given

    one = dict(target_treeids=[0, 0, 0, 1, 1], target_nodeids=[2, 3, 4, 1, 2], target_ids=[0] * 5, target_weights=[1.0, 2.5, -4.0, 0.125, 16.0])
    two = dict(one, target_ids=[0, 1, 0, 1, 1])
    for kind in kinds:
        for missing in (None, [1] * 8, [0, 1, 0, 0, 0, 1, 0, 0]):
            c.add("TreeEnsembleRegressor", [x], [F], domain=ML, n_targets=1, **one, **tree(kind, kind, kind, missing))
        c.add("TreeEnsembleRegressor", [x.astype(np.float64)], [F], domain=ML, n_targets=1, **one, **tree(kind, kind, kind))
    c.add("TreeEnsembleRegressor", [x], [F], domain=ML, n_targets=1, **one, **tree("BRANCH_LEQ", "BRANCH_GT", "BRANCH_EQ", [1, 0, 0, 0, 0, 1, 0, 0]))
    c.add("TreeEnsembleRegressor", [x], [F], domain=ML, n_targets=1, **one, **tree("BRANCH_NEQ", "BRANCH_LT", "BRANCH_GTE"))
    for kind in kinds:
        holes = dict(tree(kind, kind, kind), nodes_values=[np.nan, np.nan, 0, 0, 0, np.nan, 0, 0])
        c.add("TreeEnsembleRegressor", [x], [F], domain=ML, n_targets=1, title="NaN threshold", **one, **holes)
    branch = tree("BRANCH_LEQ", "BRANCH_LEQ", "BRANCH_LEQ")
    for aggregate in "SUM AVERAGE MIN MAX".split():
        for base in ({}, {"base_values": [0.5]}):
            for transform in ("NONE", "LOGISTIC", "PROBIT", "SOFTMAX"):
                c.add("TreeEnsembleRegressor", [x], [F], domain=ML, n_targets=1, aggregate_function=aggregate, post_transform=transform, **base, **one, **branch)
        for base in ({}, {"base_values": [0.5, -0.25]}):
            for transform in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
                c.add("TreeEnsembleRegressor", [x], [F], domain=ML, n_targets=2, aggregate_function=aggregate, post_transform=transform, **base, **two, **branch)
    c.add("TreeEnsembleRegressor", [np.array([[0, -1], [1, 2]])], [F], domain=ML, n_targets=1, **one, **branch)
    double = {k: v for k, v in branch.items() if k != "nodes_values"}
    weights = {k: v for k, v in one.items() if k != "target_weights"}
    fine = x.astype(np.float64)
    fine[0, 0] += 1e-12
    c.add(
        "TreeEnsembleRegressor",
        [fine],
        [F],
        domain=ML,
        n_targets=1,
        title="double",
        nodes_values_as_tensor=helper.make_tensor("v", D, [8], [0.5 + 1e-13] + THRESHOLDS[1:]),
        target_weights_as_tensor=helper.make_tensor("w", D, [5], one["target_weights"]),
        base_values_as_tensor=helper.make_tensor("b", D, [1], [0.1]),
        **double,
        **weights,
    )
    # Two classes, with the weights on either or both of them, and more.
    nodes = dict(class_treeids=[0, 0, 0, 1, 1], class_nodeids=[2, 3, 4, 1, 2])
    for transform in "NONE LOGISTIC SOFTMAX SOFTMAX_ZERO".split():
        for base in ({}, {"base_values": [0.1]}, {"base_values": [0.1, 0.2]}):
            for ids in ([0] * 5, [1] * 5, [0, 1, 0, 1, 0]):
                if len(set(ids)) > 1 and len(base.get("base_values", ())) == 1:
                    continue  # ONNX Runtime leaves a cell unwritten
                for weights in ([0.1, 0.2, 0.3, 0.15, 0.45], [0.1, -2.0, 0.3, 0.05, -0.6]):
                    c.add("TreeEnsembleClassifier", [x], [I, F], domain=ML, classlabels_int64s=[0, 1], class_ids=ids, class_weights=weights, post_transform=transform, **base, **nodes, **branch)
        c.add("TreeEnsembleClassifier", [x], [S, F], domain=ML, classlabels_strings=["a", "b"], class_ids=[1] * 5, class_weights=[0.1, 0.2, 0.3, 0.15, 0.45], post_transform=transform, **nodes, **branch)
        for base in ({}, {"base_values": [0.1, 0.2, -0.3]}):
            c.add("TreeEnsembleClassifier", [x], [S, F], domain=ML, classlabels_strings=["a", "b", "c"], class_ids=[0, 1, 2, 1, 1], class_weights=[0.1, -0.2, 0.3, 0.15, -0.45], post_transform=transform, **base, **nodes, **branch)
    dense = dict(class_treeids=[0] * 6 + [1] * 4, class_nodeids=[2, 2, 3, 3, 4, 4, 1, 1, 2, 2], class_ids=[0, 1] * 5)
    c.add("TreeEnsembleClassifier", [x], [I, F], domain=ML, classlabels_int64s=[0, 1], class_weights=[0.1, 0.4, 0.5, 0.0, 0.2, 0.3, 0.25, 0.25, 0.4, 0.1], **dense, **branch)
    c.add("TreeEnsembleClassifier", [x.astype(np.float64)], [I, F], domain=ML, classlabels_int64s=[0, 1], class_weights=[0.1, 0.4, 0.5, 0.0, 0.2, 0.3, 0.25, 0.25, 0.4, 0.1], **dense, **branch)
    c.add("TreeEnsembleClassifier", [x], [I, F], domain=ML, classlabels_int64s=[0], class_ids=[0] * 5, class_weights=[0.1, -0.2, 0.3, 0.15, -0.45], **nodes, **branch)


def ensemble(c, rng):
    """`TreeEnsemble` of version 5: two trees, of five splits and of one."""
    x = f32([0.5, -1.0], [0.4999, 1.0], [0.5001, 0.9999], [np.nan, np.nan], [-5, np.nan], [3, 3], [-0.0, -1.0], [2.5, 7], [40, -1])
    whole = f32([0, -1], [1, 7], [3, 1], [np.nan, np.nan], [-5, np.nan], [3, 3], [-0.0, -1.0], [2, 7], [40, -1])
    shape = dict(
        tree_roots=[0, 3],
        nodes_featureids=[0, 1, 0, 1],
        nodes_truenodeids=[1, 0, 2, 4],
        nodes_trueleafs=[0, 1, 1, 1],
        nodes_falsenodeids=[2, 1, 3, 5],
        nodes_falseleafs=[0, 1, 1, 1],
    )

    def add(kind, modes, members=None, missing=None, targets=1, splits=(0.5, -1.0, 3.0, 0.9999), **more):
        given = dict(shape)
        rows = x if members is None else whole
        if members is not None:
            given["membership_values"] = helper.make_tensor("m", kind, [len(members)], members)
        if missing:
            given["nodes_missing_value_tracks_true"] = missing
        c.add(
            "TreeEnsemble",
            [rows if kind == F else rows.astype(np.float64)],
            [kind],
            domain=ML,
            ml=5,
            n_targets=targets,
            nodes_modes=helper.make_tensor("k", TensorProto.UINT8, [4], modes),
            nodes_splits=helper.make_tensor("s", kind, [4], splits),
            leaf_weights=helper.make_tensor("w", kind, [6], [1.0, 2.5, -4.0, 0.125, 16.0, 0.1]),
            leaf_targetids=[0] * 6 if targets == 1 else [0, 1, 0, 1, 1, 0],
            **given,
            **more,
        )

    nan = float("nan")
    for kind in (F, D):
        for mode in range(6):
            for missing in (None, [1, 1, 1, 1], [0, 1, 0, 1]):
                add(kind, [mode] * 4, missing=missing)
        add(kind, [0, 3, 4, 5], missing=[1, 0, 0, 1])
        # ONNX Runtime takes whole members only, and cuts what it looks up to a whole number, which
        # the specification does not.
        sets = [-1.0, 2.0, nan, 7.0, 1.0, 3.0, nan]
        for missing in (None, [1, 1, 1, 1], [1, 0, 0, 0]):
            add(kind, [0, 6, 2, 6], sets, missing)
            add(kind, [6, 0, 6, 4], [0.0, 3.0, -5.0, nan, 2.0, 40.0, nan], missing)
            add(kind, [6, 6, 6, 6], [3.0, 5.0, nan, 1.0, nan, 2.0, 3.0, 40.0, nan, 7.0, nan], missing)
        for aggregate in range(4):
            for transform in (0, 3, 4):  # 1 and 2 are refused
                if kind == F or transform == 0:
                    add(kind, [0] * 4, targets=2, aggregate_function=aggregate, post_transform=transform)
                    add(kind, [1] * 4, aggregate_function=aggregate, post_transform=transform)


def classic(c, rng):
    x = rng.normal(size=(6, 3)).astype(np.float32)
    gaps = x.copy()
    gaps[1, 1] = np.nan
    three = rng.normal(size=9).astype(float).tolist()
    for transform in "NONE LOGISTIC SOFTMAX SOFTMAX_ZERO PROBIT".split():
        scaled = [v / 10 for v in three]
        # The inverse of the normal distribution magnifies rounding around one half.
        title = "loose" if transform == "PROBIT" else ""
        for labels in ({"classlabels_ints": [5, 6, 7]}, {"classlabels_strings": ["a", "b", "c"]}):
            kind = I if "classlabels_ints" in labels else S
            c.add("LinearClassifier", [x], [kind, F], domain=ML, coefficients=scaled, intercepts=[0.5, 0.4, 0.3], post_transform=transform, multi_class=1, title=title, **labels)
        if transform != "PROBIT":  # with it ONNX Runtime leaves cells unwritten
            c.add("LinearClassifier", [x], [I, F], domain=ML, coefficients=three[:3], intercepts=[0.2], classlabels_ints=[3, 4], post_transform=transform)
            c.add("LinearClassifier", [x], [S, F], domain=ML, coefficients=three[:3], intercepts=[0.2], classlabels_strings=["n", "p"], post_transform=transform)
        c.add("LinearClassifier", [x], [I, F], domain=ML, coefficients=[-v for v in three[:3]] + three[:3], intercepts=[-0.2, 0.2], classlabels_ints=[0, 1], post_transform=transform, title=title)
        c.add("LinearRegressor", [x], [F], domain=ML, coefficients=three[:6], intercepts=[0.5, 0.25], targets=2, post_transform=transform, title=title)
        c.add("LinearRegressor", [x], [F], domain=ML, coefficients=[v / 10 for v in three[:3]], intercepts=[0.5], post_transform=transform, title=title)
    c.add("LinearRegressor", [x], [F], domain=ML, coefficients=three[:3])
    c.add("LinearClassifier", [x.astype(np.float64)], [I, F], domain=ML, coefficients=three, intercepts=[0.5, 0.4, 0.3], classlabels_ints=[0, 1, 2], post_transform="SOFTMAX")
    c.add("LinearClassifier", [np.arange(6).reshape(2, 3)], [I, F], domain=ML, coefficients=three, intercepts=[0.5, 0.4, 0.3], classlabels_ints=[0, 1, 2])
    vectors = rng.normal(size=(5, 3)).ravel().tolist()
    for kernel in "LINEAR POLY RBF SIGMOID".split():
        kernels = dict(kernel_type=kernel, kernel_params=[0.3, 0.1, 3.0])
        c.add("SVMRegressor", [x], [F], domain=ML, n_supports=5, support_vectors=vectors, coefficients=[0.1, -0.2, 0.3, 0.4, -0.5], rho=[0.3], **kernels)
        c.add("SVMRegressor", [x], [F], domain=ML, n_supports=5, support_vectors=vectors, coefficients=[0.1, -0.2, 0.3, 0.4, -0.5], rho=[0.3], one_class=1, **kernels)
        three_classes = dict(support_vectors=vectors, vectors_per_class=[2, 2, 1], coefficients=[0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, -0.8, -0.9, 1.0], rho=[0.1, -0.2, 0.3])
        two_classes = dict(support_vectors=vectors, vectors_per_class=[2, 3], coefficients=[0.1, -0.2, 0.3, 0.4, -0.5], rho=[0.1])
        for transform in ("NONE", "LOGISTIC", "SOFTMAX"):
            c.add("SVMClassifier", [x], [I, F], domain=ML, classlabels_ints=[0, 1, 2], post_transform=transform, **three_classes, **kernels)
            c.add("SVMClassifier", [x], [I, F], domain=ML, classlabels_ints=[0, 1], post_transform=transform, **two_classes, **kernels)
            c.add("SVMClassifier", [x], [S, F], domain=ML, classlabels_strings=["a", "b"], post_transform=transform, prob_a=[-0.5], prob_b=[0.1], **two_classes, **kernels)
        c.add("SVMClassifier", [x], [S, F], domain=ML, classlabels_strings=["a", "b", "c"], prob_a=[-0.5, 0.3, 0.2], prob_b=[0.1, 0.2, 0.3], **three_classes, **kernels)
    c.add("SVMRegressor", [x], [F], domain=ML, coefficients=[0.1, -0.2, 0.3], rho=[0.3], kernel_params=[0.0, 0.0, 0.0])
    c.add("SVMClassifier", [x], [I, F], domain=ML, coefficients=three, rho=[0.3], classlabels_ints=[0, 1, 2], kernel_params=[0.0, 0.0, 0.0])
    c.add("SVMClassifier", [x], [I, F], domain=ML, coefficients=three[:6], rho=[0.3], classlabels_ints=[0, 1], kernel_params=[0.0, 0.0, 0.0])
    c.add("SVMClassifier", [x], [I, F], domain=ML, coefficients=[abs(v) for v in three[:6]], rho=[0.3], classlabels_ints=[0, 1], kernel_params=[0.0, 0.0, 0.0])
    for array in (x, x.astype(np.float64), np.arange(6).reshape(2, 3), np.arange(6, dtype=np.int32).reshape(2, 3)):
        c.add("Scaler", [array], [F], domain=ML, offset=[0.1, 0.2, 0.3], scale=[2.0, 3.0, 4.0])
        c.add("Scaler", [array], [F], domain=ML, offset=[0.1], scale=[2.0])
        for norm in ("MAX", "L1", "L2"):
            c.add("Normalizer", [array], [F], domain=ML, norm=norm)
    for norm in ("MAX", "L1", "L2"):
        c.add("Normalizer", [f32([3, -4], [0, 0], [np.nan, 1], [-3, -4])], [F], domain=ML, norm=norm)
    c.add("Binarizer", [x], [F], domain=ML, threshold=0.25)
    c.add("Imputer", [gaps], [F], domain=ML, imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=float("nan"))
    c.add("Imputer", [gaps], [F], domain=ML, imputed_value_floats=[9.0], replaced_value_float=float("nan"))
    c.add("Imputer", [np.array([[1, -1], [-1, 4]])], [I], domain=ML, imputed_value_int64s=[7, 8], replaced_value_int64=-1)
    c.add("ArrayFeatureExtractor", [x, np.array([2, 0])], [F], domain=ML)
    c.add("ArrayFeatureExtractor", [strings("a", "b", "c"), np.array([2, 0])], [S], domain=ML)
    c.add("ArrayFeatureExtractor", [np.array([[1, 2], [3, 4]]), np.array([[1]])], [I], domain=ML)
    c.add("FeatureVectorizer", [x, x[:, :1]], [F], domain=ML, inputdimensions=[3, 1])
    words = strings("a", "b", "", "zz").reshape(4, 1)
    c.add("LabelEncoder", [words], [I], domain=ML, ml=1, classes_strings=["b", "a"], default_int64=-5, default_string="?")
    c.add("LabelEncoder", [np.array([0, 1, 2])], [S], domain=ML, ml=1, classes_strings=["b", "a"], default_int64=-5, default_string="?")
    keys = {"keys_strings": ["a", "b"], "keys_int64s": [1, 2], "keys_floats": [0.5, float("nan")]}
    data = {"keys_strings": words, "keys_int64s": np.array([2, 1, 7]), "keys_floats": f32(0.5, np.nan, -0.0)}
    found = {"values_strings": (["x", "y"], S), "values_int64s": ([8, 9], I), "values_floats": ([0.25, 1.5], F)}
    for key, key_list in keys.items():
        for value, (value_list, kind) in found.items():
            for ml in (2, 4):
                c.add("LabelEncoder", [data[key]], [kind], domain=ML, ml=ml, **{key: key_list, value: value_list})
                c.add("LabelEncoder", [data[key]], [kind], domain=ML, ml=ml, default_string="d", default_int64=77, default_float=0.75, **{key: key_list, value: value_list})
    c.add(
        "LabelEncoder",
        [np.array([1.0, np.nan, 3.0])],
        [D],
        domain=ML,
        ml=4,
        keys_tensor=helper.make_tensor("k", D, [2], [1.0, float("nan")]),
        values_tensor=helper.make_tensor("v", D, [2], [10.0, 20.0]),
        default_tensor=helper.make_tensor("d", D, [1], [5.0]),
    )
    c.add("CategoryMapper", [words], [I], domain=ML, cats_strings=["a", "b"], cats_int64s=[5, 6], default_int64=-7)
    c.add("CategoryMapper", [np.array([5, 6, 7])], [S], domain=ML, cats_strings=["a", "b"], cats_int64s=[5, 6])
    c.add("OneHotEncoder", [words], [F], domain=ML, cats_strings=["b", "a"])
    c.add("OneHotEncoder", [strings("a", "b")], [F], domain=ML, cats_strings=["b", "a"], zeros=0)
    for array in (np.array([[1, 2], [5, 1]]), f32([1.9, np.nan], [-1.5, 2.0]), np.array([[1.9, 2.0]])):
        c.add("OneHotEncoder", [array], [F], domain=ML, cats_int64s=[2, 1, -1])


def text(c, rng):
    words = strings("The", "quick", "FOX", "", "the")
    for case in ("NONE", "LOWER", "UPPER"):
        for sensitive in (0, 1):
            for stop in ({}, {"stopwords": ["the", "FOX"]}):
                c.add("StringNormalizer", [words], [S], case_change_action=case, is_case_sensitive=sensitive, locale="C", **stop)
    c.add("StringNormalizer", [strings("the").reshape(1, 1)], [S], case_change_action="LOWER", is_case_sensitive=1, locale="C", stopwords=["the"])
    documents = strings("The quick, brown fox.", "", "naïve café 42x", "a-b--c  d,e;", "x").reshape(5, 1)
    for mark in (0, 1):
        fixed = dict(domain="com.microsoft", mark=mark, pad_value="#")
        for least in (1, 2, 3):
            for rows in (documents, documents.ravel(), strings("", ""), strings()):
                for expression in ("[a-zA-Z0-9_]+", r"\w+", r"\b\w\w+\b", r"[^\s,;]+", "a|ab|[a-c]-b", r"\pL+", "(?i)THE|[X]", "x*", r"[[:alpha:]\-]+"):
                    c.add("Tokenizer", [rows], [S], tokenexp=expression, mincharnum=least, **fixed)
                for separators in ([" "], [" ", "[.]", ","], ["[^a-z]+"], [",| ", "-"], ["e", "x"]):
                    c.add("Tokenizer", [rows], [S], separators=separators, mincharnum=least, **fixed)
        c.add("Tokenizer", [documents], [S], tokenexp=".", mincharnum=1, **fixed)
        c.add("Tokenizer", [documents], [S], separators=[""], mincharnum=1, **fixed)
    spaced = strings("a b c", "  a  b ", "", " ", "a,b,,c", ",", "a, b")
    for delimiter in ({}, {"delimiter": ""}, {"delimiter": ","}, {"delimiter": ", "}):
        for most in ({}, {"maxsplit": 1}, {"maxsplit": 2}):
            c.add("StringSplit", [spaced], [S, I], opset=20, **delimiter, **most)
            c.add("StringSplit", [spaced[:6].reshape(2, 3)], [S, I], opset=20, **delimiter, **most)
    c.add("StringConcat", [strings("a", "b"), strings("c", "é")], [S], opset=20)
    c.add("StringConcat", [strings("a", "b").reshape(2, 1), strings("c", "d", "")], [S], opset=20)
    for pattern in (r"[a-z]+", r"a|ab", r"(\w+, )*\w*", "", r"\d{4}-\d{2}", "x{,2}"):
        c.add("RegexFullMatch", [strings("ab", "a", "x, y", "", "2024-11", "é", "x{,2}")], [B], opset=20, pattern=pattern)
    pool = dict(ngram_counts=[0, 3], ngram_indexes=[0, 1, 2, 3, 4], pool_strings=["a", "b", "c", "a", "b", "b", "c"])
    docs = strings("a", "b", "c", "a", "b", "x", "b", "c").reshape(2, 4)
    for mode in ("TF", "IDF", "TFIDF"):
        for low, high, skip in ((1, 1, 0), (1, 2, 0), (2, 2, 1), (1, 2, 2)):
            c.add("TfIdfVectorizer", [docs], [F], mode=mode, min_gram_length=low, max_gram_length=high, max_skip_count=skip, weights=[0.5, 1.0, 2.0, 3.0, 4.0], **pool)
            c.add("TfIdfVectorizer", [docs[0]], [F], mode=mode, min_gram_length=low, max_gram_length=high, max_skip_count=skip, **pool)
    numbers = dict(ngram_counts=[0, 2], ngram_indexes=[1, 0, 2], pool_int64s=[5, 6, 5, 6])
    c.add("TfIdfVectorizer", [np.array([[5, 6, 5], [6, 6, 6]])], [F], mode="TF", min_gram_length=1, max_gram_length=2, max_skip_count=0, **numbers)


def main(seed, out):
    rng = np.random.default_rng(seed)
    c = Cases()
    for part in (basic, sums, places, scan, trees, ensemble, classic, text):
        part(c, rng)
    out.mkdir(parents=True, exist_ok=True)
    (out / "operators.json").write_text(json.dumps(c.list))
    print(f"{len(c.list)} operator cases written to {out}")
    for line in c.refused:
        print("refused by ONNX Runtime:", line)


if __name__ == "__main__":
    main(int(sys.argv[1]), pathlib.Path(sys.argv[2]))
