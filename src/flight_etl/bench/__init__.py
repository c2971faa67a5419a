"""Generating flight data, measuring, comparing."""
