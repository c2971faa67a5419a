"""What a data set looks like to somebody who asks it questions. Run by `make demo`."""

from __future__ import annotations

import sys

import duckdb

QUESTIONS = (
    (
        "The longest flights",
        """
        select callsign, min(timestamp) as first_seen, any_value(origin_airport) as origin,
               any_value(destination_airport) as destination, round(max(cumulative_distance_km)) as km,
               round(median(altitude_ft) filter (flight_phase = 'cruise')) as cruise_ft, count(*) as rows
        from read_parquet('{0}/*.parquet') group by flight_id, callsign order by km desc limit 8
        """,
    ),
    (
        "What aircraft do, by phase",
        """
        select flight_phase, count(*) as rows, round(avg(speed_knots)) as kt, round(avg(height_ft)) as height_ft,
               round(avg(climb_rate_fpm)) as climb_fpm, round(avg(phase_confidence), 2) as confidence
        from read_parquet('{0}/*.parquet') where not is_stale group by flight_phase order by rows desc
        """,
    ),
)


def main(folder: str) -> None:
    """Print the answers that the data set in `folder` gives."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for title, query in QUESTIONS:
        sys.stdout.write(f"\n{title}\n{connection.sql(query.format(folder))}")


if __name__ == "__main__":
    main(sys.argv[1])
