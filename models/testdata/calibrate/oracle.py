"""Makes oracle.json: calibrators by other people's code (scikit-learn's
_SigmoidCalibration and IsotonicRegression, betacal 1.1). Run by hand:
python oracle.py > oracle.json"""
import json
import warnings

import numpy as np
from betacal import BetaCalibration
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

warnings.filterwarnings("ignore")
rng = np.random.default_rng(11)
cases = []
for n, digits, bend in [(200, 2, 1.0), (800, 6, 2.5)]:
    raw = np.clip(np.round(rng.beta(1.2, 2.0, size=n), digits), 0.01, 0.99)
    odds = bend * np.log(raw / (1 - raw)) + 0.4
    y = (rng.uniform(size=n) < 1 / (1 + np.exp(-odds))).astype(int)
    at = np.linspace(0.01, 0.99, 25)
    logit = lambda x: np.log(x / (1 - x))
    platt = _SigmoidCalibration().fit(logit(raw), y)
    iso = IsotonicRegression(out_of_bounds="clip").fit(raw, y)
    beta = BetaCalibration(parameters="abm").fit(raw.reshape(-1, 1), y)
    cases.append(dict(
        raw=raw.tolist(), y=y.tolist(), at=at.tolist(),
        platt=platt.predict(logit(at)).tolist(),
        isotonic=iso.predict(at).tolist(),
        beta=beta.predict(at.reshape(-1, 1)).tolist(),
    ))
print(json.dumps(dict(cases=cases)))
