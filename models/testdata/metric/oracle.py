"""Makes oracle.json: metrics by other people's code (scikit-learn, SciPy) on
rows with ties and weights. Run by hand: python oracle.py > oracle.json
(numpy, scipy, scikit-learn 1.9)."""
import json

import numpy as np
from scipy.stats import norm
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss, ndcg_score, roc_auc_score

rng = np.random.default_rng(7)


def delong(p, y):
    """DeLong, DeLong and Clarke-Pearson 1988, by its O(mn) definition."""
    pos, neg = p[y == 1], p[y == 0]
    psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    return psi.mean(), np.sqrt(v10.var(ddof=1) / len(pos) + v01.var(ddof=1) / len(neg))


cases = []
for n, digits in [(60, 1), (400, 2), (1000, 9)]:
    p = np.round(rng.uniform(size=n) ** 1.5, digits)
    p = np.clip(p, 0.001, 0.999)
    y = (rng.uniform(size=n) < 0.1 + 0.7 * p).astype(int)
    w = rng.integers(1, 5, size=n).astype(float)
    auc, sd = delong(p, y)
    iso = IsotonicRegression().fit(p, y, sample_weight=w).predict(p)
    rate = np.average(y, weights=w)
    brier = brier_score_loss(y, p, sample_weight=w)
    best = np.average((iso - y) ** 2, weights=w)
    z = np.sum((y - p) * (1 - 2 * p)) / np.sqrt(np.sum((1 - 2 * p) ** 2 * p * (1 - p)))
    case = dict(
        p=p.tolist(), y=y.tolist(), w=w.tolist(),
        auc=auc, sd=sd, lo=auc + norm.ppf(0.025) * sd, hi=auc + norm.ppf(0.975) * sd,
        sklearn_auc=roc_auc_score(y, p), weighted_auc=roc_auc_score(y, p, sample_weight=w),
        log_loss=log_loss(y, p, sample_weight=w), brier=brier,
        reliability=brier - best, resolution=rate * (1 - rate) - best, uncertainty=rate * (1 - rate),
        isotonic=iso.tolist(), spiegelhalter=z,
    )
    if digits == 9:  # no ties: quantile bins and bins of equal mass agree
        yy, pp = calibration_curve(y, p, n_bins=10, strategy="quantile")
        case["ece10"] = float(np.mean(np.abs(yy - pp)))
        top = np.argsort(-p)[: n // 10]
        case["lift"] = float(y[top].mean() / y.mean())
    cases.append(case)

ranks = []
for n, digits, k in [(8, 1, 3), (20, 1, 5), (20, 3, 20)]:
    score = np.round(rng.uniform(size=n), digits)
    gain = rng.integers(0, 4, size=n).astype(float)
    ranks.append(dict(score=score.tolist(), gain=gain.tolist(), k=k,
                      ndcg=ndcg_score([gain], [score], k=k)))

print(json.dumps(dict(cases=cases, ranks=ranks)))
