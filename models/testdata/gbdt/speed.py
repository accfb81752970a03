"""Times LightGBM and XGBoost beside our trainer on the tables of BenchmarkFit:
same rows, same trees, the making of bins included, the loading of tables not.
Prints the Go benchmark format: a line a fit, then medians, then ours over theirs.

    python -m venv venv && venv/bin/pip install lightgbm xgboost
    go test -c -o /tmp/gbdt.test ../../gbdt
    OMP_WAIT_POLICY=passive venv/bin/python speed.py /tmp/gbdt.test [rounds] [tables] [threads]

Learners take turns within a round, so that what else the machine does meets all;
cpu-ns is what a fit used of all processors, which a busy machine changes less.
"""
import os, re, statistics, subprocess, sys, tempfile, time
import lightgbm as lgb, numpy as np, xgboost as xgb

BINARY = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
TABLES = (sys.argv[3] if len(sys.argv) > 3 else "numbers-1Mx28-50x255,codes-100kx8-300x31,flights-100kx8-300x31").split(",")
THREADS = [int(n) for n in (sys.argv[4] if len(sys.argv) > 4 else "1,2").split(",")]


def ours(name, threads):
    out = subprocess.run([BINARY, "-test.run", "^$", "-test.bench", f"^BenchmarkFit$/^{name}$/^threads-{threads}$",
                          "-test.benchtime", "1x"], capture_output=True, text=True, check=True).stdout
    return [int(re.search(r"\s(\d+) " + unit, out).group(1)) for unit in ("ns/op", "cpu-ns/op")]


def load(path):
    a = np.fromfile(path)
    rows, cols = int(a[0]), int(a[1])
    return np.ascontiguousarray(a[2 + rows:].reshape(cols, rows).T), a[2:2 + rows]


def timed(fit):
    start, cpu = time.perf_counter_ns(), time.process_time_ns()
    fit()
    return time.perf_counter_ns() - start, time.process_time_ns() - cpu


def lightgbm(x, y, trees, leaves, rate, threads, **more):
    params = dict(objective="binary", num_leaves=leaves, learning_rate=rate, num_threads=threads, min_data_in_leaf=20,
                  max_bin=255, lambda_l2=0, verbose=-1, **more)
    return timed(lambda: lgb.train(params, lgb.Dataset(x, y, params=params), trees))


def xgboost(x, y, trees, leaves, rate, threads):
    params = dict(objective="binary:logistic", max_leaves=leaves, max_depth=0, grow_policy="lossguide", tree_method="hist",
                  eta=rate, nthread=threads, max_bin=255, reg_lambda=0, verbosity=0)
    return timed(lambda: xgb.train(params, xgb.QuantileDMatrix(x, y, max_bin=255, nthread=threads), trees))


with tempfile.TemporaryDirectory() as d:
    subprocess.run([BINARY, "-test.run", "^TestWriteTables$"], env={**os.environ, "BELLWETHER_TABLES": d}, check=True, stdout=subprocess.DEVNULL)
    for name in TABLES:
        trees, leaves = map(int, name.rsplit("-", 1)[1].split("x"))
        rate = 0.1 if leaves > 31 else 0.05
        x, y = load(os.path.join(d, name))
        for threads in THREADS:
            args = (x, y, trees, leaves, rate, threads)
            fits = {
                "ours": lambda: ours(name, threads),
                "lightgbm": lambda: lightgbm(*args),
                "lightgbm-rows": lambda: lightgbm(*args, force_row_wise=True),
                "xgboost": lambda: xgboost(*args),
            }
            took = {learner: [] for learner in fits}
            for _ in range(ROUNDS):
                for learner, fit in fits.items():
                    took[learner].append(fit())
                    wall, cpu = took[learner][-1]
                    print(f"BenchmarkTrainer/{name}/threads-{threads}/{learner} 1 {wall} ns/op {cpu} cpu-ns/op", flush=True)
            median = {learner: [statistics.median(t) for t in zip(*times)] for learner, times in took.items()}
            for learner, (wall, cpu) in median.items():
                print(f"BenchmarkTrainerMedian/{name}/threads-{threads}/{learner} {ROUNDS} {wall:.0f} ns/op {cpu:.0f} cpu-ns/op "
                      f"{median['ours'][0] / wall:.3f} ours/theirs {median['ours'][1] / cpu:.3f} cpu-ours/theirs", flush=True)
