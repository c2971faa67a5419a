"""BYTES: reading places, decompressing, writing Parquet, publishing atomically. Knows the contract, never the core."""
