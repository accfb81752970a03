"""Times LightGBM beside our scoring: the same models (ours, written as its text),
the same rows, one thread, and the largest difference between the answers. Prints
the Go benchmark format: a line a round, then medians and ours over theirs.

    python -m venv venv && venv/bin/pip install lightgbm    (and a C compiler, cc)
    go test -c -o /tmp/gbdt.test ../../gbdt && go test -c -tags purego -o /tmp/gbdt-plain.test ../../gbdt
    venv/bin/python score.py /tmp/gbdt.test /tmp/gbdt-plain.test [rounds] [seconds a measurement]

row is LightGBM's fast path for single rows, called from C in a loop; the rest are
whole batches. Ours by parts has the words of the partners made before, as serving
has them. plain is without vector code. Takers take turns within a round; cpu-ns is
processor time, which a busy machine changes less.
"""
import os, statistics, subprocess, sys, tempfile
import lightgbm as lgb

VECTORS, PLAIN = map(os.path.abspath, sys.argv[1:3])
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
SECONDS = sys.argv[4] if len(sys.argv) > 4 else "1"
# What is measured: its benchmark here, and how LightGBM is asked.
CASES = {
    "row": ("Row", "row"),
    "contributions": ("Contributions", "contributions"),
    "partners-500": ("Factor/partners-500/by-parts", "batch"),
    "partners-10000": ("Factor/partners-10000/by-parts", "batch"),
}


def run(*args, **env):
    return subprocess.run(args, capture_output=True, text=True, check=True, env={**os.environ, **env}).stdout


def ours(binary):
    """Nanoseconds of the clock and of the processor, by case."""
    out = run(binary, "-test.run", "^$", "-test.bench", "^BenchmarkRow$|^BenchmarkContributions$|^BenchmarkFactor$/./^by-parts$", "-test.benchtime", SECONDS + "s", "-test.cpu", "1")
    line = {words[0].removeprefix("Benchmark"): words for words in map(str.split, out.splitlines()) if words}
    value = lambda name, unit: float(line[name][line[name].index(unit) - 1])
    return {case: (value(name, "ns/row"), value(name, "cpu-ns/row")) for case, (name, _) in CASES.items()}


def theirs(folder):
    out = {}
    for case, (_, how) in CASES.items():
        path = os.path.join(folder, case)
        *out[case], apart = map(float, run(os.path.join(folder, "score"), how, path + ".txt", path, SECONDS, OMP_NUM_THREADS="1").split())
        if apart > 1e-9:
            sys.exit(f"{case}: LightGBM's answers are up to {apart} from ours")
    return out


with tempfile.TemporaryDirectory() as folder:
    library = os.path.join(os.path.dirname(lgb.__file__), "lib")
    run("cc", "-O2", "-o", os.path.join(folder, "score"), os.path.join(os.path.dirname(__file__) or ".", "score.c"),
        os.path.join(library, "lib_lightgbm.so"), "-Wl,-rpath," + library, "-lm")
    run(VECTORS, "-test.run", "^TestWriteModels$", BELLWETHER_TABLES=folder)
    takers = {"ours": lambda: ours(VECTORS), "ours-plain": lambda: ours(PLAIN), "lightgbm": lambda: theirs(folder)}
    took = {}
    for _ in range(ROUNDS):
        for taker, measure in takers.items():
            for case, (wall, cpu) in measure().items():
                took.setdefault((case, taker), []).append((wall, cpu))
                print(f"BenchmarkScorer/{case}/{taker} 1 {wall:.1f} ns/row {cpu:.1f} cpu-ns/row", flush=True)
    median = {key: [statistics.median(t) for t in zip(*times)] for key, times in took.items()}
    for (case, taker), (wall, cpu) in sorted(median.items()):
        theirs = median[case, "lightgbm"]
        print(f"BenchmarkScorerMedian/{case}/{taker} {ROUNDS} {wall:.1f} ns/row {cpu:.1f} cpu-ns/row {wall / theirs[0]:.4f} ours/theirs {cpu / theirs[1]:.4f} cpu-ours/theirs")
