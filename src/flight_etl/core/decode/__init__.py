"""bytes -> RAW."""
