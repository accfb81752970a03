"""Fits LightGBM, XGBoost and CatBoost, each by its defaults and told which columns
are categories, on the rows on which `train` fits gbdt by its own: TestWritePeers
writes these, with gbdt's answers. Prints the Go benchmark format: for each learner
means and standard deviations over the seeds (of the split, or, where time splits,
of the learner alone); then ours less the best of the others in AUC, with the
standard deviation that drawing other test rows would give it.

    python -m venv venv && venv/bin/pip install lightgbm xgboost catboost scikit-learn pandas
    go test -c -o /tmp/cmd.test ../../../cmd/bellwether
    BELLWETHER_DATA=../shared/data OMP_WAIT_POLICY=passive venv/bin/python accuracy.py /tmp/cmd.test [seeds] [tables]

A gbdt of train stops early on the newest fifth of the rows before the test and is
then fitted to all of them; the others are fitted to all of them at once.
"""
import os, subprocess, sys, tempfile, time
import catboost, lightgbm as lgb, numpy as np, pandas as pd, xgboost as xgb
from sklearn.metrics import log_loss, roc_auc_score

BINARY = os.path.abspath(sys.argv[1])
SEEDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
TABLES = (sys.argv[3] if len(sys.argv) > 3 else "incidents,olist,ibm,flights").split(",")
DRAWS = 200
DATA = os.environ["BELLWETHER_DATA"]


def load(path):
    """Returns which columns are categories, and labels, weights, answers, columns."""
    a = np.fromfile(path)
    rows, cols = int(a[0]), int(a[1])
    kinds, rest = a[2:2 + cols], a[2 + cols:].reshape(cols + 3, rows)
    return kinds == 1, *rest[:3], rest[3:]


def frames(category, train, test):
    """The columns of both as data frames whose categories have one list of levels."""
    parts = {}, {}
    for j, of in enumerate(category):
        cut = len(train[j])
        col = pd.Series(np.concatenate([train[j], test[j]]))
        if of:
            codes, levels = pd.factorize(col)
            col = pd.Series(pd.Categorical.from_codes(codes, range(len(levels))))
        for part, values in zip(parts, (col[:cut], col[cut:])):
            part[f"x{j}"] = values.reset_index(drop=True)
    return [pd.DataFrame(part) for part in parts]


def words(d, category):
    """CatBoost takes categories as texts, none missing."""
    return d.assign(**{c: d[c].cat.codes.astype(str) for c, of in zip(d, category) if of})


def lightgbm(x, y, w, test, category, seed):
    return lgb.LGBMClassifier(random_state=seed, verbose=-1).fit(x, y, w).predict_proba(test)


def xgboost(x, y, w, test, category, seed):
    return xgb.XGBClassifier(random_state=seed, enable_categorical=True).fit(x, y, sample_weight=w).predict_proba(test)


def cat(x, y, w, test, category, seed):
    m = catboost.CatBoostClassifier(random_seed=seed, cat_features=np.flatnonzero(category), verbose=False, allow_writing_files=False)
    return m.fit(words(x, category), y, sample_weight=w).predict_proba(words(test, category))


def auc_spread(y, w, p, q):
    """Standard deviation of the difference in AUC over draws of the rows."""
    rng, out = np.random.default_rng(1), []
    for _ in range(DRAWS):
        i = rng.integers(len(y), size=len(y))
        out.append(roc_auc_score(y[i], p[i], sample_weight=w[i]) - roc_auc_score(y[i], q[i], sample_weight=w[i]))
    return np.std(out)


def compare(table, folder):
    figures, spreads = {}, {}
    for seed in range(SEEDS):
        category, y, w, _, train = load(f"{folder}/{table}-{seed}-train")
        _, ty, tw, ours, test = load(f"{folder}/{table}-{seed}-test")
        x, t = frames(category, train, test)
        for learner, fit in {"ours": None, "lightgbm": lightgbm, "xgboost": xgboost, "catboost": cat}.items():
            start, p = time.process_time(), ours
            if fit:
                p = fit(x, y, w, t, category, seed)[:, 1]
            figures.setdefault(learner, []).append((roc_auc_score(ty, p, sample_weight=tw), log_loss(ty, p, sample_weight=tw), time.process_time() - start))
            if fit and seed == 0:
                spreads[learner] = auc_spread(ty, tw, ours, p)
    mean = {learner: np.mean(f, axis=0) for learner, f in figures.items()}
    for learner, f in figures.items():
        (auc, loss, cpu), (auc_sd, loss_sd, _) = mean[learner], np.std(f, axis=0, ddof=min(1, SEEDS - 1))
        print(f"BenchmarkAccuracy/{table}/{learner} {SEEDS} {auc:.5f} auc {auc_sd:.5f} auc-sd {loss:.5f} log-loss {loss_sd:.5f} log-loss-sd {cpu:.1f} fit-cpu-s", flush=True)
    best = max((m for m in mean if m != "ours"), key=lambda m: mean[m][0])
    least = min(m[1] for name, m in mean.items() if name != "ours")
    print(f"BenchmarkAccuracyOverBest/{table}/{best} {SEEDS} {mean['ours'][0] - mean[best][0]:+.5f} auc-more {spreads[best]:.5f} auc-more-sd "
          f"{mean['ours'][1] - least:+.5f} log-loss-more", flush=True)


with tempfile.TemporaryDirectory() as folder:
    for table in TABLES:
        subprocess.run([BINARY, "-test.run", f"^TestWritePeers$/^{table}$"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "BELLWETHER_TABLES": folder, "BELLWETHER_DATA": DATA})
        compare(table, folder)
