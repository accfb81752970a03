"""Fits XGBoost and LightGBM where the Go test TestAccuracy fits ours: same rows,
same split. Prints one line a fit: table seed learner threads auc log_loss seconds.

    python -m venv venv && venv/bin/pip install lightgbm xgboost scikit-learn pandas
    BELLWETHER_DATA=../shared/data OMP_WAIT_POLICY=passive venv/bin/python oracle.py [tables] [threads]
"""
import os, sys, time
import numpy as np, pandas as pd, xgboost as xgb, lightgbm as lgb
from sklearn.metrics import roc_auc_score, log_loss

DATA = os.environ["BELLWETHER_DATA"]
LEAK = ["Elapsed Days In Sales Stage", "Sales Stage Change Count", "Total Days Identified Through Closing",
        "Total Days Identified Through Qualified", "Ratio Days Identified To Total Days",
        "Ratio Days Validated To Total Days", "Ratio Days Qualified To Total Days"]


def mix(x):
    """splitmix64's finalizer, as in the Go test."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def load(name):
    if name == "flights":
        d = pd.read_csv(f"{DATA}/flights/flight_delays_train.csv.gz")
        y, group = (d.pop("dep_delayed_15min") == "Y").astype(int), np.arange(len(d))
    else:
        d = pd.read_csv(f"{DATA}/ibm_sales/WA_Fn-UseC_-Sales-Win-Loss.csv.gz")
        y, group = (d.pop("Opportunity Result") == "Won").astype(int), d.pop("Opportunity Number").to_numpy()
        d = d.drop(columns=LEAK)
    return d, y.to_numpy(), group.astype(np.uint64)


def codes(d):
    """Plain integer codes in the order of the text; c-8 is 8."""
    out = pd.DataFrame(index=d.index)
    for c in d:
        col = d[c]
        if pd.api.types.is_numeric_dtype(col):
            out[c] = col
        elif col.str.match(r"^c-\d+$").all():
            out[c] = col.str[2:].astype(int)
        else:
            out[c] = col.astype("category").cat.codes
    return out


def fits(threads):
    yield "xgb", lambda x, y, c: xgb.XGBClassifier(n_estimators=300, max_leaves=31, max_depth=0, grow_policy="lossguide",
            tree_method="hist", learning_rate=0.05, n_jobs=threads, max_bin=255).fit(x, y), codes
    yield "lgb", lambda x, y, c: lgb.LGBMClassifier(n_estimators=300, num_leaves=31, learning_rate=0.05,
            n_jobs=threads, verbose=-1).fit(x, y), codes
    yield "lgb-native", lambda x, y, c: lgb.LGBMClassifier(n_estimators=300, num_leaves=31, learning_rate=0.05,
            n_jobs=threads, verbose=-1).fit(x, y), lambda d: d.apply(lambda s: s if pd.api.types.is_numeric_dtype(s) else s.astype("category"))


for name in (sys.argv[1] if len(sys.argv) > 1 else "flights,ibm").split(","):
    d, y, group = load(name)
    for threads in map(int, (sys.argv[2] if len(sys.argv) > 2 else "1,2").split(",")):
        for seed in range(5):
            with np.errstate(over="ignore"):
                test = mix(group + np.uint64(seed) * np.uint64(1_000_003)) % np.uint64(5) == 0
            for learner, fit, enc in fits(threads):
                x = enc(d)
                start = time.time()
                m = fit(x[~test], y[~test], None)
                secs = time.time() - start
                p = m.predict_proba(x[test])[:, 1]
                print(name, seed, learner, threads, f"{roc_auc_score(y[test], p):.5f} {log_loss(y[test], p):.5f} {secs:.2f}", flush=True)
