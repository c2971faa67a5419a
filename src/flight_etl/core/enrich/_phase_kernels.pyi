from flight_etl.core.track import Bools, Floats, Ints

def time_keys(flight: Ints, time_ms: Ints, flight_span: int) -> Ints: ...
def heard_altitudes(
    altitude_ft: Floats, key: Ints, flight: Ints, spike_ft: float, spike_ft_per_s: float, excursion_ms: float
) -> Bools: ...
def vertical_rates(
    said_fpm: Floats,
    altitude_ft: Floats,
    heard: Bools,
    key: Ints,
    times_ms: tuple[int, ...],
    quanta: float,
    scale: float,
    limits: tuple[float, float, float],
) -> tuple[Floats, Bools, Floats]: ...
def bridged_altitudes(altitude_ft: Floats, heard: Bools, key: Ints, gap_ms: float, hold_ms: float) -> Floats: ...
def chords(latitude: Floats, longitude: Floats, key: Ints, half: int, gap: int, radians: float) -> Floats: ...
def believed_speeds(
    reported_kt: Floats,
    chord: Floats,
    cosine: Floats,
    key: Ints,
    flight: Ints,
    metres_per_degree: float,
    knots: float,
    limits: tuple[float, float, float],
) -> Floats: ...
