"""Trains models with LightGBM and XGBoost from a seed, saves them in the libraries' own formats and
writes what the libraries predict. The Rust tests compare their results with these files.

    python make_boosted.py SEED OUTDIR [small]

Writes OUTDIR/boosted/NAME/ with the model (model.txt, model.json or model.ubj), rows.bin (the rows,
little-endian doubles), expected.bin (the predictions, the same) and case.json, and
OUTDIR/boosted.txt with the names. With `small` it writes the few that are kept in
crates/models/tests/data.
"""

import json
import pathlib
import sys
import warnings

import lightgbm as lgb
import numpy as np
import xgboost as xgb

warnings.filterwarnings("ignore")

TRAIN = 700


class Data:
    """Training and test data, the same for the same seed."""

    def __init__(self, seed, rows=1000, width=8):
        rng = np.random.default_rng(seed)
        total = TRAIN + rows
        # Values with few digits meet thresholds exactly now and then.
        x = np.round(rng.normal(size=(total, width)) * 3, 2)
        signal = x[:, 0] - 0.5 * x[:, 1] * x[:, 2] + np.sin(x[:, 3]) * 2 + np.abs(x[:, 4])
        y = signal + rng.normal(size=total)
        self.rng = rng
        self.x = x
        self.y = y[:TRAIN]
        self.two = (self.y > np.median(self.y)).astype(int)
        self.four = np.digitize(self.y, np.quantile(self.y, [0.25, 0.5, 0.75]))
        self.share = 1 / (1 + np.exp(-self.y / 3))
        self.counts = rng.poisson(np.exp(np.clip(self.y, -3, 3) / 2))
        self.positive = np.exp(np.clip(self.y, -4, 4) / 3)
        self.groups = [20] * (TRAIN // 20)
        self.relevance = np.digitize(self.y, np.quantile(self.y, [0.5, 0.8, 0.95]))
        self.gaps = x.copy()
        self.gaps[rng.random(x.shape) < 0.15] = np.nan
        self.zeros = x.copy()
        self.zeros[rng.random(x.shape) < 0.3] = 0
        # Codes in training up to 40; in the rows also some that training never saw.
        self.codes = x.copy()
        self.codes[:, 1] = rng.integers(0, 5, total)
        self.codes[:, 2] = rng.integers(0, 41, total)
        self.codes[TRAIN:, 2] = rng.integers(0, 90, rows)
        self.codes[rng.random(total) < 0.05, 2] = np.nan
        self.codes_y = self.codes[:TRAIN, 0] + np.nan_to_num(self.codes[:TRAIN, 2] % 7) * 2 + (self.codes[:TRAIN, 1] == 3) * 5

    def odd(self, table, infinite):
        """The rows to predict, with everything a number can be among them."""
        rows = table[TRAIN:].copy()
        values = [0.0, -0.0, 1e-36, -1e-36, 1e-35, -5e-324, 1e30, -1e30, np.nan, 2.0**24 + 1, 0.1]
        if infinite:
            values += [np.inf, -np.inf, 1e300, -0.5]
        spots = self.rng.random(rows.shape) < 0.06
        rows[spots] = self.rng.choice(values, spots.sum())
        return rows


class Writer:
    def __init__(self, out, keep=None):
        self.out = out
        self.keep = keep
        self.names = []

    def write(self, name, save, suffix, rows, expected, task):
        if self.keep is not None and name not in self.keep:
            return
        folder = self.out / "boosted" / name
        folder.mkdir(parents=True, exist_ok=True)
        save(str(folder / f"model.{suffix}"))
        expected = np.asarray(expected, dtype=np.float64)
        if not np.isfinite(expected).all():
            raise ValueError(f"{name}: predictions that are not numbers compare with nothing")
        expected = expected.reshape(len(rows), -1)
        rows.astype("<f8").tofile(folder / "rows.bin")
        expected.astype("<f8").tofile(folder / "expected.bin")
        case = {"model": f"model.{suffix}", "width": rows.shape[1], "outputs": expected.shape[1], "task": task}
        (folder / "case.json").write_text(json.dumps(case) + "\n")
        self.names.append(name)


def light(w, d):
    def one(name, params, x, y, rounds=20, task="values", codes=(), infinite=True, **data):
        params = {"verbose": -1, "num_threads": 2, "seed": 3, "deterministic": True, "num_leaves": 15, **params}
        names = [f"c{i}" for i in range(x.shape[1])]
        train = lgb.Dataset(x[:TRAIN], y, feature_name=names, categorical_feature=list(codes), **data)
        booster = lgb.train(params, train, rounds)
        rows = d.odd(x, infinite)
        w.write(f"lightgbm_{name}", booster.save_model, "txt", rows, booster.predict(rows), task)

    plain = d.x
    one("regression", {"objective": "regression"}, plain, d.y)
    one("gaps", {"objective": "regression"}, d.gaps, d.y, 40)
    one("zero_as_missing", {"objective": "regression", "zero_as_missing": True}, d.zeros, d.y)
    one("use_missing_not", {"objective": "regression", "use_missing": False}, d.gaps, d.y)
    one("one_leaf", {"objective": "regression", "min_data_in_leaf": TRAIN}, plain, d.y, 3)
    one("one_column", {"objective": "regression"}, plain[:, :1], d.y)
    one("deep", {"objective": "regression", "num_leaves": 400, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 0}, plain, d.y, 5)
    one("chain", {"objective": "regression", "num_leaves": 60, "min_data_in_leaf": 1}, np.exp(plain[:, :1]), np.exp(plain[:TRAIN, 0] * 2), 4)
    one("thousand", {"objective": "regression", "num_leaves": 6, "learning_rate": 0.02}, plain, d.y, 1000)
    one("codes", {"objective": "regression", "min_data_per_group": 5, "cat_smooth": 1}, d.codes, d.codes_y, codes=[1, 2])
    one("codes_one_hot", {"objective": "binary", "max_cat_to_onehot": 60}, d.codes, d.two, task="binary", codes=[1, 2])
    one("binary", {"objective": "binary"}, d.gaps, d.two, 40, task="binary")
    one("binary_sigmoid", {"objective": "binary", "sigmoid": 0.7, "is_unbalance": True}, plain, d.two, task="binary")
    one("multiclass", {"objective": "multiclass", "num_class": 4}, d.gaps, d.four, task="classes")
    one("multiclassova", {"objective": "multiclassova", "num_class": 4, "sigmoid": 1.3}, plain, d.four, task="classes")
    one("sqrt", {"objective": "regression", "reg_sqrt": True}, plain, d.y)
    one("l1", {"objective": "regression_l1"}, plain, d.y)
    one("huber", {"objective": "huber"}, plain, d.y)
    one("fair", {"objective": "fair"}, plain, d.y)
    one("quantile", {"objective": "quantile", "alpha": 0.9}, plain, d.y)
    one("mape", {"objective": "mape"}, plain, d.positive)
    one("poisson", {"objective": "poisson"}, plain, d.counts)
    one("gamma", {"objective": "gamma"}, plain, d.positive)
    one("tweedie", {"objective": "tweedie"}, plain, d.positive)
    one("cross_entropy", {"objective": "cross_entropy"}, plain, d.share)
    one("cross_entropy_lambda", {"objective": "cross_entropy_lambda"}, plain, d.share)
    one("lambdarank", {"objective": "lambdarank"}, plain, d.relevance, group=d.groups)
    one("rank_xendcg", {"objective": "rank_xendcg"}, plain, d.relevance, group=d.groups)
    one("dart", {"objective": "binary", "boosting": "dart", "drop_rate": 0.4}, d.gaps, d.two, task="binary")
    forest = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.6}
    one("rf", {"objective": "regression", **forest}, plain, d.y)
    one("rf_binary", {"objective": "binary", **forest}, plain, d.two, task="binary")
    one("rf_multiclass", {"objective": "multiclass", "num_class": 4, **forest}, d.gaps, d.four, 7, task="classes")
    one("extra_trees", {"objective": "regression", "extra_trees": True}, d.gaps, d.y)

    def own(scores, data):
        return scores - data.get_label(), np.ones_like(scores)

    one("own_objective", {"objective": own}, plain, d.y)


def gradient(w, d):
    count = 0

    def one(name, params, x, y, rounds=20, task="values", suffix=None, types=None, names=None, change=None, **data):
        nonlocal count
        count += 1
        suffix = suffix or ("json", "ubj")[count % 2]
        params = {"seed": 3, "nthread": 2, "max_depth": 4, **params}
        x = x.astype(np.float32)
        columns = {"feature_names": names, "feature_types": types, "enable_categorical": types is not None}
        train = xgb.DMatrix(x[:TRAIN], y, **columns, **data)
        booster = xgb.train(params, train, rounds)
        if change is not None:
            document = json.loads(booster.save_raw("json"))
            change(document["learner"])
            booster = xgb.Booster(model_file=bytearray(json.dumps(document).encode()))
        rows = d.odd(x, False).astype(np.float32)
        if types is not None:
            # XGBoost refuses codes that are no whole numbers or too large.
            code = [i for i, t in enumerate(types) if t == "c"]
            rows[:, code] = x[TRAIN:, code]
        expected = booster.predict(xgb.DMatrix(rows, **columns))
        w.write(f"xgboost_{name}", booster.save_model, suffix, rows, expected, task)

    plain, gaps = d.x, d.gaps
    one("squarederror", {"objective": "reg:squarederror"}, plain, d.y, suffix="json")
    one("squarederror_ubj", {"objective": "reg:squarederror"}, gaps, d.y, 40, suffix="ubj")
    one("no_gap_seen", {"objective": "reg:squarederror"}, plain, d.y)
    one("one_leaf", {"objective": "reg:squarederror", "gamma": 1e9}, plain, d.y, 3)
    one("no_round", {"objective": "reg:squarederror"}, plain, d.y, 0)
    one("one_column", {"objective": "reg:squarederror"}, plain[:, :1], d.y)
    one("deep", {"objective": "reg:squarederror", "max_depth": 14, "min_child_weight": 0}, gaps, d.y, 6)
    one("lossguide", {"objective": "reg:squarederror", "grow_policy": "lossguide", "max_leaves": 60, "max_depth": 0}, gaps, d.y, 6)
    one("exact", {"objective": "reg:squarederror", "tree_method": "exact", "gamma": 3}, plain, d.y)
    one("thousand", {"objective": "reg:squarederror", "max_depth": 3, "eta": 0.02}, plain, d.y, 1000)
    types = ["q", "c", "c"] + ["q"] * (d.codes.shape[1] - 3)
    one("codes", {"objective": "reg:squarederror", "max_cat_to_onehot": 4}, d.codes, d.codes_y, types=types)
    one("codes_one_hot", {"objective": "binary:logistic", "max_cat_to_onehot": 99}, d.codes, d.two, task="binary", types=types)
    names = ["age", "education-num", "hours per week", "d", "e", "f", "g", "h"][: plain.shape[1]]
    one("names", {"objective": "reg:squarederror"}, plain, d.y, names=names)
    one("logistic", {"objective": "binary:logistic"}, gaps, d.two, 40, task="binary")
    one("logistic_base", {"objective": "binary:logistic", "base_score": 0.3}, plain, d.two, task="binary")
    one("old_base", {"objective": "binary:logistic", "base_score": 0.3}, plain, d.two, task="binary", suffix="json",
        change=lambda learner: learner["learner_model_param"].update(base_score="3E-1"))
    one("reg_logistic", {"objective": "reg:logistic"}, plain, d.share)
    one("logitraw", {"objective": "binary:logitraw"}, plain, d.two)
    one("hinge", {"objective": "binary:hinge"}, plain, d.two, task="label")
    one("softprob", {"objective": "multi:softprob", "num_class": 4}, gaps, d.four, task="classes")
    one("softmax", {"objective": "multi:softmax", "num_class": 4}, plain, d.four, task="label")
    one("poisson", {"objective": "count:poisson"}, plain, d.counts)
    one("gamma", {"objective": "reg:gamma"}, plain, d.positive)
    one("tweedie", {"objective": "reg:tweedie"}, plain, d.positive)
    one("squaredlogerror", {"objective": "reg:squaredlogerror"}, plain, d.positive)
    one("pseudohuber", {"objective": "reg:pseudohubererror"}, plain, d.y)
    one("absoluteerror", {"objective": "reg:absoluteerror"}, plain, d.y)
    one("quantile", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, plain, d.y)
    group = {"group": d.groups}
    one("rank_pairwise", {"objective": "rank:pairwise"}, plain, d.relevance, **group)
    one("rank_ndcg", {"objective": "rank:ndcg"}, gaps, d.relevance, **group)
    one("rank_map", {"objective": "rank:map"}, plain, (d.relevance > 0).astype(int), **group)
    one("cox", {"objective": "survival:cox", "eta": 0.1}, plain, d.positive)
    bounds = {"label_lower_bound": d.positive, "label_upper_bound": d.positive * 1.5}
    one("aft", {"objective": "survival:aft"}, plain, None, **bounds)
    one("targets", {"objective": "reg:squarederror"}, plain, np.c_[d.y, -d.y, d.y**2])
    dart = {"booster": "dart", "rate_drop": 0.4}
    one("dart", {"objective": "binary:logistic", **dart}, gaps, d.two, task="binary")
    one("dart_softprob", {"objective": "multi:softprob", "num_class": 4, **dart}, plain, d.four, task="classes")
    one("forest", {"objective": "reg:squarederror", "num_parallel_tree": 8, "subsample": 0.6, "eta": 1}, plain, d.y, 2)
    linear = {"booster": "gblinear", "max_depth": None}
    one("linear", {"objective": "reg:squarederror", **linear}, gaps, d.y)
    one("linear_softprob", {"objective": "multi:softprob", "num_class": 4, **linear}, gaps, d.four, task="classes")


SMALL = ["lightgbm_codes", "lightgbm_multiclass", "xgboost_codes", "xgboost_softprob", "xgboost_dart", "xgboost_old_base"]


def main(seed, out, small):
    d = Data(seed, rows=20) if small else Data(seed)
    w = Writer(out, SMALL if small else None)
    light(w, d)
    gradient(w, d)
    (out / "boosted.txt").write_text("\n".join(w.names) + "\n")
    print(f"{len(w.names)} boosted models written to {out}")


if __name__ == "__main__":
    main(int(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:] == ["small"])
