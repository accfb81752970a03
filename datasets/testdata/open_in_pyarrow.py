"""Opens a data directory of ours in pyarrow and says what it finds.

    pip install pyarrow
    bellwether import csv --in datasets/testdata/salesforce --map datasets/testdata/salesforce.yaml --out /tmp/p
    bellwether import csv --in datasets/testdata/salesforce --map datasets/testdata/salesforce.yaml --out /tmp/a --format arrow
    python datasets/testdata/open_in_pyarrow.py /tmp/p /tmp/a

Not run by the tests, which need nothing but Go.
"""

import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def load(path):
    if path.suffix == ".parquet":
        return pq.read_table(path)
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


tables = []
for directory in sys.argv[1:]:
    manifest = json.loads((pathlib.Path(directory) / "manifest.json").read_text())
    for noun, contents in sorted(manifest["records"].items()):
        for file in contents["files"]:
            table = load(pathlib.Path(directory) / file["name"])
            table.validate(full=True)
            meta = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
            assert table.num_rows == contents["count"], (table.num_rows, contents["count"])
            assert meta["bellwether.fingerprint"] == contents["fingerprint"], meta
            print(file["name"], table.num_rows, meta)
            for field in table.schema:
                print("   ", field.name, field.type)
                if pa.types.is_timestamp(field.type):
                    assert field.type == pa.timestamp("us", tz="UTC"), field
            for row in table.slice(0, 2).to_pylist():
                print("   ", {k: v for k, v in row.items() if v is not None})
            if noun == "events":
                print("   ", pc.value_counts(table["type"].combine_chunks()).to_pylist())
            tables.append((noun, table))

for noun, table in tables:
    for other, same in tables:
        if noun == other:
            assert table.to_pylist() == same.to_pylist(), noun
print("all readable; equal where two directories hold the same")
