"""Makes oracle.json: an L2 logistic regression by scikit-learn on standardised
numbers. Run by hand: python oracle.py > oracle.json"""
import json

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

rng = np.random.default_rng(3)
n = 300
x = np.round(rng.normal(size=(n, 4)) * [1, 5, 0.1, 100] + [0, 2, 9, -50], 6)
odds = x[:, 0] - 0.3 * (x[:, 1] - 2) + 4 * (x[:, 2] - 9)
y = (rng.uniform(size=n) < 1 / (1 + np.exp(-odds))).astype(int)
w = rng.integers(1, 4, size=n).astype(float)
sc = StandardScaler().fit(x, sample_weight=w)
m = LogisticRegression(C=1.0, tol=1e-12, max_iter=10000).fit(sc.transform(x), y, sample_weight=w)
print(json.dumps(dict(x=x.T.tolist(), y=y.tolist(), w=w.tolist(), coef=m.coef_[0].tolist(),
                      intercept=m.intercept_[0], p=m.predict_proba(sc.transform(x))[:, 1].tolist())))
