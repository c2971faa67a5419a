"""Decodes a file and keeps nothing: the process that stands for our decoder in measurements.

    python -m flight_etl.runners.decode_alone SOURCE

Prints the values read and the seconds of CPU that it took, which other work on the machine disturbs less than the clock.
"""

from __future__ import annotations

import json
import sys
import time

from flight_etl.core.decode import decode, detect
from flight_etl.resources import keep_freed_memory, spare_pandas
from flight_etl.schema import PROVENANCE
from flight_etl.settings import Settings
from flight_etl.store.reading import LocalSource

__all__: list[str] = []


def _main(path: str) -> None:
    settings = Settings().decode
    spare_pandas()
    keep_freed_memory()
    source = LocalSource(path)
    layout = detect(source, settings)
    assert layout is not None
    made = {f"{field.name}_ground" for field in layout.fields}  # not sent as such
    values = 0
    began = time.process_time()
    for outcome in decode(source, layout, settings):
        table = outcome.kept
        own = [name for name in table.column_names if name not in PROVENANCE and name not in made]
        values += sum(table.num_rows - table[name].null_count for name in own)
    sys.stdout.write(json.dumps({"values": values, "seconds": time.process_time() - began}) + "\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
