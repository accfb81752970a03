"""Makes oracle.json: survival figures by lifelines and statsmodels on the classic
tables, and by hand-made small cases. Run by hand with BELLWETHER_DATA set:
python oracle.py > oracle.json. Only figures go into the file, no rows of the
tables (the small case is made up here)."""
import json
import os
import warnings

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from statsmodels.duration.hazard_regression import PHReg

warnings.filterwarnings("ignore")
data = os.path.join(os.environ["BELLWETHER_DATA"], "survival")
rng = np.random.default_rng(4)
out = {}

n = 120
x = np.round(rng.normal(size=(n, 3)) * [1, 10, 0.2], 4)
true = np.exp(0.7 * x[:, 0] - 0.05 * x[:, 1])
time = np.ceil(rng.exponential(8 / true)).clip(1, 12)  # whole numbers: many ties
event = (rng.uniform(size=n) < 0.7).astype(int)
w = rng.integers(1, 4, size=n).astype(float)
small = dict(x=x.T.tolist(), time=time.tolist(), event=event.tolist(), w=w.tolist())
for ties in ["efron", "breslow"]:
    m = PHReg(time, x, status=event, ties=ties).fit(disp=0, maxiter=100)
    small[ties] = dict(coef=m.params.tolist(), se=m.bse.tolist(), loglik=m.llf)
df = pd.DataFrame(x, columns=list("abc")).assign(time=time, event=event, w=w)
m = CoxPHFitter(baseline_estimation_method="breslow").fit(df, "time", "event", weights_col="w", robust=False,
    fit_options=dict(precision=1e-12))
small["weighted"] = dict(coef=m.params_.tolist(), se=m.standard_errors_.tolist())
km = KaplanMeierFitter().fit(time, event, weights=w)
small["km"] = dict(at=[1, 3, 5, 8, 11], s=[float(km.predict(t)) for t in [1, 3, 5, 8, 11]])
risk = np.round(x[:, 0], 1)
small["c"] = concordance_index(time, -risk, event)
out["small"] = small

rossi = pd.read_csv(os.path.join(data, "rossi.csv"))
m = CoxPHFitter().fit(rossi, "week", "arrest")
out["rossi"] = dict(names=list(m.params_.index), coef=m.params_.tolist(), se=m.standard_errors_.tolist(),
                    loglik=m.log_likelihood_, c=m.concordance_index_)
walt = pd.read_csv(os.path.join(data, "waltons_dataset.csv"))
km = KaplanMeierFitter().fit(walt["T"], walt["E"])
ci = km.confidence_interval_
out["waltons"] = dict(at=[6, 20, 40, 60, 75], s=[float(km.predict(t)) for t in [6, 20, 40, 60, 75]],
                      lo=[float(ci.iloc[:, 0].loc[:t].iloc[-1]) for t in [6, 20, 40, 60, 75]],
                      hi=[float(ci.iloc[:, 1].loc[:t].iloc[-1]) for t in [6, 20, 40, 60, 75]],
                      median=float(km.median_survival_time_))
print(json.dumps(out))
