"""The documented classes of `src/lambda/etl/`: other words for what the package does, and no other way of doing it."""
