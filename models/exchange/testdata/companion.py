"""Makes the features of a model that `bellwether models export` wrote as
LightGBM text, from the columns of a table and the companion beside the text."""
import json, math, struct

MASK = (1 << 64) - 1


def code(text):
    h = 14695981039346656037
    for b in text.encode():
        h = ((h ^ b) * 1099511628211) & MASK
    return float(h >> 12)


def key(value):
    """The key of a value: a text, a number, or None for a missing one."""
    if value is None or value == "" or value != value:
        return 0x7FF8B31100000001
    number = code(value) if isinstance(value, str) else float(value) + 0.0
    return struct.unpack("<Q", struct.pack("<d", number))[0]


def pair(a, b):
    product = (a ^ 0x9E3779B97F4A7C15) * (b ^ 0xC2B2AE3D27D4EB4F)
    x = (product >> 64) ^ (product & MASK) ^ (((a << 23) | (a >> 41)) & MASK)
    for _ in range(2):
        x ^= x >> 32
        x = (x * 0xD6E8FEB86659FD93) & MASK
    return x ^ (x >> 32)


def encode(companion, row):
    """The features of a row, a dict of column to value, in the text's order."""
    out = []
    for f in companion["features"]:
        values = [row[c] for c in f["columns"]]
        if f["kind"] == "number":
            out.append(math.nan if values[0] is None else float(values[0]))
            continue
        k = key(values[0])
        if len(values) > 1:
            k = pair(k, key(values[1]))
        out.append(f.get("levels", {}).get("%016x" % k, f.get("unseen", 0.0)))
    return out


def incidence(companion, scores):
    """For each age, the chance of each way to have ended by it, by a row's scores."""
    ways, still_open, out = companion["ways"], 1.0, []
    by = dict.fromkeys(ways, 0.0)
    for at in range(0, len(scores), len(ways)):
        each = [math.exp(s) for s in scores[at:at + len(ways)]]
        by = {way: by[way] + still_open * e / (1 + sum(each)) for way, e in zip(ways, each)}
        still_open /= 1 + sum(each)
        out.append(by)
    return out
