"""The real recordings of the sample folder: every file is recognised, read and balanced, with the rows its index states."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from tests.conftest import Command

SAMPLES = Path(os.environ.get("FLIGHT_ETL_SAMPLES") or Path(__file__).parents[2].parent / "shared/data").resolve()

pytestmark = [
    pytest.mark.samples,
    pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no folder {SAMPLES}; name one with FLIGHT_ETL_SAMPLES"),
]

# Path below the folder, layout, records; None: INDEX.md states no number.
INDEX = [
    ("opensky/states_18col_ha_fixture.json", "opensky", 4),
    ("opensky/states_gopensky_mock.json", "opensky", 6),
    ("opensky/states_null.json", "opensky", 0),
    ("opensky/quickstart_snapshots.ndjson", "opensky", 4_498),
    ("opensky_history/stonesoup_20210712_uk_6052.csv", "opensky-history", 6_052),
    ("readsb/aircraft_dump1090fa_44.json", "readsb", 44),
    ("readsb/adsbfi_readsb_api_21.json", "readsb", 21),
    ("adsbx/adsbx_v2_462.json", "adsbx-v2", 462),
    ("adsbx/adsbx_v1_29.json", "adsbx-v1", 29),
    ("trace/trace_full_ac671b.json", "trace", 2_500),
    ("flights/belevingsvlucht.json.gz", "flat", 16_005),
    ("flights/samu31.json.gz", "flat", 378),
    ("surface/zurich_airport.json.gz", "flat", 17_132),
    ("fr24/34a8254b.json", "fr24", 1_249),
    ("ndjson/adsb_actions_1hr.ndjson", "flat", 5_767),
    *((f"flights/{name}.json.gz", "flat", None) for name in ("ajaccio", "calfire", "dreamliner_airfrance", "elal747")),
    ("surface/noisy_ground.json.gz", "flat-columns", None),
    ("surface/noisy_takeoff.json.gz", "flat-columns", None),
    ("surface/noisy_time_issue.json.gz", "flat", None),
]


def units(path: str) -> list[str]:
    return ["--units", "aviation"] if path.startswith(("flights/", "surface/")) else []


@pytest.mark.parametrize(("path", "layout", "records"), INDEX, ids=[entry[0] for entry in INDEX])
def test_a_sample_is_recognised_read_and_balanced(etl: Command, path: str, layout: str, records: int | None) -> None:
    done = etl("run", SAMPLES / path, "-o", "out", "--json", *units(path))
    report = done.json
    assert (done.code, report["inputs"][0]["layout"], report["inputs"][0]["error"]) == (0, layout, None)
    assert report["read"] == report["written"] + sum(report["dropped"].values())
    if records is None:
        assert report["read"] > 0
    else:
        assert report["read"] == records


def test_traces_with_gzip_inside_json_are_read_as_one_data_set(etl: Command) -> None:
    report = etl("run", SAMPLES / "trace/adsb_actions_2023", "-o", "out", "--json").json
    assert len(report["inputs"]) == 22
    assert all(one["layout"] == "trace" and one["read"] and not one["error"] for one in report["inputs"])
    assert report["read"] == report["written"] + sum(report["dropped"].values())


@pytest.mark.slow
def test_the_quickstart_recording_keeps_its_promises(etl: Command) -> None:
    report = etl("run", SAMPLES / "flights/quickstart.json.gz", "-o", "out", "--json", "--units", "aviation").json
    assert (report["read"], report["aircraft"]) == (284_505, 213)
    assert report["read"] == report["written"] + sum(report["dropped"].values())
    rows = pq.read_table("out/part-00000.parquet")
    stale = rows.filter(rows["is_stale"])
    assert 0.15 <= stale.num_rows / rows.num_rows <= 0.25
    fast = pc.filter(rows["flight_phase"].cast("string"), pc.greater(rows["speed_knots"], 30.0))
    assert "ground" not in fast.unique().to_pylist()
    for name in ("distance_km", "acceleration_kts_min", "turn_rate_deg_s", "climb_rate_fpm"):
        assert stale[name].null_count == stale.num_rows, name
