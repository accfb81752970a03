"""Weighs LightGBM beside our trainer: the peak of resident memory of a process that
holds a table of numbers, trains 50 trees of 255 leaves on it and ends. Prints the
Go benchmark format: a line a process, then ours over theirs.

    python -m venv venv && venv/bin/pip install lightgbm
    go test -c -o /tmp/gbdt.test ../../gbdt
    OMP_WAIT_POLICY=passive venv/bin/python memory.py /tmp/gbdt.test [rows] [threads] [learners]

The table is made in the process that trains: 28 columns of normal numbers, ours as
float64 columns, LightGBM's as a numpy array of float64 or float32, a row after
another, or of float64 columns. raw-B is that table by itself, peak-B the peak of the
whole process, over-raw-B the difference: bins, gradients, histograms, what the
runtime holds, and whatever the learner copies.
"""
import os, re, subprocess, sys, time

if sys.argv[1] != "lightgbm":
    BINARY = os.path.abspath(sys.argv[1])
ROWS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000_000
THREADS = sys.argv[3] if len(sys.argv) > 3 else "2"
LEARNERS = (sys.argv[4] if len(sys.argv) > 4 else "ours,lightgbm-float64,lightgbm-float32,lightgbm-columns").split(",")
COLUMNS, TREES, LEAVES = 28, 50, 255


def train(kind):
    """What a process of LightGBM's does."""
    import lightgbm as lgb, numpy as np
    rng = np.random.default_rng(1)
    x = np.empty((ROWS, COLUMNS), np.float32 if kind == "float32" else np.float64, order="F" if kind == "columns" else "C")
    score, part = np.zeros(ROWS), 100_000
    for i in range(0, ROWS, part):  # in parts, so that making it is not the peak
        block = rng.standard_normal((min(part, ROWS - i), COLUMNS))
        x[i:i + part] = block
        score[i:i + part] = (block[:, 0::4] * block[:, 1::4] + np.sin(3 * block[:, 2::4]) + 0.5 * block[:, 3::4]).sum(1)
    y = (rng.random(ROWS) < 1 / (1 + np.exp(-score / np.sqrt(COLUMNS / 4)))).astype(np.float32)
    del score
    params = dict(objective="binary", num_leaves=LEAVES, learning_rate=0.1, num_threads=int(THREADS), min_data_in_leaf=20, max_bin=255, verbose=-1)
    lgb.train(params, lgb.Dataset(x, y, params=params), TREES)


def weigh(learner):
    """Runs a learner in a process of its own: peak bytes and processor seconds."""
    kind = learner.removeprefix("lightgbm-")
    args = [sys.executable, __file__, "lightgbm", str(ROWS), THREADS, kind]
    if learner.startswith("ours"):
        args = [BINARY, "-test.run", "^$", "-test.bench", "^BenchmarkFitLarge$", "-test.benchtime", "1x", "-test.cpu", THREADS]
    child = subprocess.Popen(args, stdout=subprocess.DEVNULL, env={**os.environ, "BELLWETHER_ROWS": str(ROWS)})
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{learner}: status {status}")
    return used.ru_maxrss * 1024, used.ru_utime + used.ru_stime


if sys.argv[1] == "lightgbm":
    train(LEARNERS[0])
    sys.exit()
least = {}
for learner in LEARNERS:
    raw = ROWS * COLUMNS * (4 if learner.endswith("float32") else 8)
    peak, cpu = weigh(learner)
    least[learner] = peak, peak - raw
    print(f"BenchmarkMemory/{ROWS}x{COLUMNS}-{TREES}x{LEAVES}/threads-{THREADS}/{learner} 1 {peak} peak-B {raw} raw-B {peak - raw} over-raw-B {cpu:.0f} cpu-s", flush=True)
for learner in LEARNERS:
    if "ours" in least and learner != "ours":
        (a, b), (c, d) = least["ours"], least[learner]
        print(f"BenchmarkMemoryRatio/{learner} 1 {a / c:.3f} peak-ours/theirs {b / d:.3f} over-raw-ours/theirs")
