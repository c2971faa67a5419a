"""Made-up days of flying whose every second is labelled by the definitions of DESIGN section 6, and the faults of feeds.

Kept apart from `core`: nothing here knows how phases are detected. Labels come from what the pilot does, not from what a
receiver hears.
"""
