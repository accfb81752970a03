"""Trains the small models of this folder and writes down what their trainers
predict with them. Each step wants its own releases:

    make.py lightgbm PREFIX    LightGBM 4 (v4 text), 3 (v3) or 2.2 (v2)
    make.py xgboost PREFIX     XGBoost 1, 2 or 3
    make.py frames             LightGBM 4 and XGBoost 3, with pandas
    make.py refused            models that must be refused
    make.py ours               what LightGBM 4 says of our own exported models

NAME.want.json beside a model holds rows, the answers of predict (of XGBoost the
margins too), and of the first rows the contributions with where they start from (last).
"""
import json, math, re, sys
import numpy as np

N, SHOWN, EXPLAINED = 800, 40, 12


def table(holes=True, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N)
    z = np.where(rng.random(N) < 0.5, 0.0, rng.normal(size=N))
    k = rng.integers(0, 70, N).astype(float)
    s = rng.integers(0, 5, N).astype(float)
    odds = x + 1.5 * (z > 0.3) - (z == 0) + np.sin(k * 1.7) * 1.5 + 2.5 * (s == 2) - 1
    y = (rng.random(N) < 1 / (1 + np.exp(-odds))).astype(int)
    if holes:
        x[rng.random(N) < 0.15] = np.nan
        z[rng.random(N) < 0.1] = np.nan
    return np.column_stack([x, z, k, s]), y


def asked(X):
    """The rows written down: the first ones, and odd ones."""
    nan = math.nan
    odd = [[nan, nan, nan, nan], [0, 0, 0, 0], [1e-36, -1e-36, 0.5, -0.5], [-1e-35, 2e-35, 69.9, -1], [1e300, -1e300, 1e9, 4.5],
           [0.1, 0.2, -3, 70], [-0.0, -0.0, -0.0, 3e9]]
    return np.vstack([X[:SHOWN], np.array(odd)])


def edges(row, splits):
    """Rows that differ from one in one number: at a threshold, and on each side of it."""
    out = []
    for feature, v in splits[:4]:
        single = float(np.nextafter(np.float32(v), np.float32(-np.inf)))
        for w in (v, np.nextafter(v, np.inf), np.nextafter(v, -np.inf), single, np.nextafter(single, np.inf)):
            out.append(row.copy())
            out[-1][feature] = w
    return np.array(out)


def plain(v):
    return [None if isinstance(e, float) and math.isnan(e) else e for e in (w.item() if hasattr(w, "item") else w for w in v)]


def write(name, columns, rows, answers, contributions, scores=()):
    with open(name + ".want.json", "w") as f:
        json.dump({"scores": [float(v) for v in scores], "columns": columns, "rows": [plain(r) for r in rows], "answers": [float(a) for a in answers],
                   "contributions": [[float(c) for c in r] for r in contributions[:EXPLAINED]]}, f)


def strip(name):
    """Leaves the training parameters out, which say nothing of predictions."""
    text = open(name).read()
    head, tail = text.split("\nparameters:\n")
    rest = tail.split("end of parameters")[1]
    open(name, "w").write(head + "\nparameters:\nend of parameters" + rest)


def lightgbm(prefix):
    import lightgbm as lgb
    base = dict(objective="binary", num_leaves=8, min_data_in_leaf=10, verbose=-1, num_threads=1, seed=1, deterministic=True)
    cat = dict(min_data_per_group=5, cat_smooth=1, max_cat_to_onehot=2)
    cases = {
        "nan": (dict(), True, []), "none": (dict(), False, []), "zero": (dict(zero_as_missing=True), True, []),
        "category": (cat, True, [2, 3]), "onehot": (dict(max_cat_to_onehot=8), True, [3]),
        "forest": (dict(boosting="rf", bagging_freq=1, bagging_fraction=0.6, feature_fraction=0.7), True, []),
        "dart": (dict(boosting="dart", drop_rate=0.5, sigmoid=0.7), True, []),
        "sqrt": (dict(objective="regression", reg_sqrt=True), True, []),
        "poisson": (dict(objective="poisson"), True, []), "entropy": (dict(objective="cross_entropy"), True, []),
    }
    few = prefix != "v4"
    for name, (more, holes, categories) in cases.items():
        if few and name not in ("nan", "zero", "category", "forest"):
            continue
        X, y = table(holes)
        d = lgb.Dataset(X, y, categorical_feature=categories, free_raw_data=False)
        b = lgb.train(dict(base, **more), d, 6)
        path = prefix + "_" + name
        b.save_model(path + ".txt")
        strip(path + ".txt")
        b = lgb.Booster(model_file=path + ".txt")
        rows = asked(X)
        text = open(path + ".txt").read()
        lists = [re.findall(r"^%s=(.*)$" % key, text, re.M) for key in ("split_feature", "threshold", "decision_type")]
        splits = [(int(f), float(v)) for t in zip(*lists) for f, v, d in zip(*(l.split() for l in t)) if int(d) & 1 == 0]
        rows = np.vstack([rows, edges(rows[0], splits)])
        write(path, b.feature_name(), rows, b.predict(rows), b.predict(rows[:EXPLAINED], pred_contrib=True))


def xgboost(prefix):
    import xgboost as xgb
    base = dict(objective="binary:logistic", max_depth=3, nthread=1, seed=1, tree_method="hist")
    new = tuple(int(v) for v in xgb.__version__.split(".")[:2]) >= (1, 7)
    cases = {
        "logistic": (dict(), "json"), "binary": (dict(base_score=0.3), "ubj"), "dart": (dict(booster="dart", rate_drop=0.5, base_score=0.5), "ubj"),
        "pruned": (dict(tree_method="exact", gamma=3.0, base_score=0.4), "json"),
        "raw": (dict(objective="binary:logitraw"), "json"), "squared": (dict(objective="reg:squarederror", base_score=0.25), "json"),
        "poisson": (dict(objective="count:poisson", base_score=0.5), "ubj"), "category": (dict(max_cat_to_onehot=1), "json"), "onehot": (dict(max_cat_to_onehot=100), "ubj"),
    }
    for name, (more, ext) in cases.items():
        if prefix != "xgb3" and name not in ("logistic", "binary", "dart", "pruned", "category", "raw"):
            continue
        if not new and (name == "category" or ext == "ubj" and name == "binary"):
            continue
        if not new:
            ext = "json"
        X, y = table()
        extra = {}
        if name in ("category", "onehot"):
            X = np.array(X, copy=True)
            extra = dict(feature_types=["float", "float", "c", "c"], enable_categorical=True)
        path = prefix + "_" + name
        names = dict(feature_names=["x", "z", "kind", "size"]) if name == "logistic" and new else {}
        b = xgb.train(dict(base, **more), xgb.DMatrix(X, y, **names, **extra), 6)
        b.save_model(path + "." + ext)
        b = xgb.Booster(model_file=path + "." + ext)
        rows = asked(X)
        rows = rows[np.abs(np.nan_to_num(rows)).max(axis=1) < 1e30]
        dump = " ".join(b.get_dump())
        splits = [(int(f), float(v)) for f, v in re.findall(r"\[f(\d)<([-+.\de]+)\]", dump)]
        if splits:
            rows = np.vstack([rows[:SHOWN], edges(rows[0], splits), rows[SHOWN:]])
        if extra:  # the trainer refuses to predict categories it calls invalid
            rows = rows[: len(rows) - 5]
        d = xgb.DMatrix(rows, **names, **extra)
        answers = b.predict(d)
        if name == "raw":
            answers = 1 / (1 + np.exp(-answers.astype(float)))
        write(path, names.get("feature_names", ["f%d" % i for i in range(4)]), rows, answers, b.predict(xgb.DMatrix(rows[:EXPLAINED], **names, **extra), pred_contribs=True), b.predict(d, output_margin=True))


def frames():
    import lightgbm as lgb, pandas as pd, xgboost as xgb
    X, y = table()
    f = pd.DataFrame({"x": X[:, 0], "z": X[:, 1], "kind": pd.Categorical(["kind %d é" % k for k in X[:, 2]]), "size": pd.Categorical((X[:, 3] * 10).astype(int))})
    shown = f[:SHOWN].copy()
    shown.loc[0, "kind"] = None
    rows = [[None if pd.isna(v) else v.item() if hasattr(v, "item") else v for v in r] for r in shown.itertuples(index=False)]
    b = lgb.train(dict(objective="binary", num_leaves=8, min_data_in_leaf=10, verbose=-1, num_threads=1, min_data_per_group=5, cat_smooth=1, max_cat_to_onehot=2), lgb.Dataset(f, y), 6)
    b.save_model("v4_frame.txt")
    strip("v4_frame.txt")
    write("v4_frame", list(f.columns), rows, b.predict(shown), b.predict(shown[:EXPLAINED], pred_contrib=True))
    ascii = lambda v: v.replace("é", "e") if isinstance(v, str) else v  # XGBoost counts the letters of a text where it means its bytes
    for g in (f, shown):
        g["kind"] = g["kind"].cat.rename_categories(ascii)
    rows = [[ascii(v) for v in r] for r in rows]
    for name, ext in (("xgb3_frame", "json"), ("xgb3_frame_binary", "ubj")):
        d = xgb.DMatrix(f, y, enable_categorical=True)
        b = xgb.train(dict(objective="binary:logistic", max_depth=3, nthread=1, max_cat_to_onehot=1), d, 6)
        b.save_model(name + "." + ext)
        s = xgb.DMatrix(shown, enable_categorical=True)
        write(name, list(f.columns), rows, b.predict(s), b.predict(s, pred_contribs=True), b.predict(s, output_margin=True))


def refused():
    import lightgbm as lgb, xgboost as xgb
    X, y = table()
    small = dict(num_leaves=3, verbose=-1, num_threads=1)
    for name, more, label, group in (("classes", dict(objective="multiclass", num_class=3), y + (X[:, 3] > 3), None),
                                     ("ranking", dict(objective="lambdarank"), y, [100] * 8),
                                     ("linear", dict(objective="binary", linear_tree=True), y, None)):
        b = lgb.train(dict(small, **more), lgb.Dataset(np.nan_to_num(X), label, group=group), 1)
        b.save_model("refused_%s.txt" % name)
        strip("refused_%s.txt" % name)
    b = lgb.train(dict(small, objective=lambda p, d: (p - d.get_label(), np.ones_like(p))), lgb.Dataset(X, y), 1)
    b.save_model("refused_custom.txt")
    strip("refused_custom.txt")
    json.dump(b.dump_model(), open("refused_dump.json", "w"))
    for name, more, label in (("softprob", dict(objective="multi:softprob", num_class=3), y + (X[:, 3] > 3)), ("linear", dict(booster="gblinear"), y),
                              ("pairwise", dict(objective="rank:pairwise"), y), ("cox", dict(objective="survival:cox"), y + 1), ("hinge", dict(objective="binary:hinge"), y),
                              ("targets", dict(), np.column_stack([y, y]))):
        d = xgb.DMatrix(np.nan_to_num(X), label)
        if name == "pairwise":
            d.set_group([100] * 8)
        b = xgb.train(dict(dict(max_depth=1, nthread=1), **more), d, 1)
        b.save_model("refused_%s.%s" % (name, "ubj" if name == "hinge" else "json"))


def ours():
    import lightgbm as lgb
    from companion import encode, incidence
    given = json.load(open("ours.rows.json"))
    for name in ("ours", "ours_ends", "ours_lasts"):
        about = json.load(open(name + ".columns.json"))
        rows = np.array([encode(about, dict(zip(given["columns"], r))) for r in given["rows"]], dtype=float)
        b = lgb.Booster(model_file=name + ".txt")
        if "ages" not in about:
            write(name, b.feature_name(), rows, b.predict(rows), b.predict(rows[:EXPLAINED], pred_contrib=True))
            continue
        scores = b.predict(rows)
        with open(name + ".want.json", "w") as f:
            json.dump({"scores": scores.tolist(), "incidence": [incidence(about, s) for s in scores]}, f)


if __name__ == "__main__":
    {"lightgbm": lightgbm, "xgboost": xgboost, "frames": frames, "refused": refused, "ours": ours}[sys.argv[1]](*sys.argv[2:])
