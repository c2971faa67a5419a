"""PURE: Arrow table in, Outcome out. No clock, environment, file, network or log anywhere below."""
