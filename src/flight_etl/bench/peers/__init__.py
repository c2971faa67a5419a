"""The same work in DuckDB, Polars, pandas and pyarrow, each in its own best style, as processes to be measured.

    python -m flight_etl.bench.peers TOOL WORK LAYOUT SOURCE TARGET THREADS

Work is `convert` (rows as Parquet, in the order of the input), `run` (one row per aircraft and moment, cut at gaps, filled,
enriched, sorted) or `parse` (read every value, keep none). What the tools do less of than flight-etl, they save: no units
by layout, no identifiers, no plausibility, no account of records, no stale rows or teleports, phases by the point alone.
"""
