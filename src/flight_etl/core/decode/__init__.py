"""bytes -> RAW.

RAW tables have `_record` (number of the record in its input, from 0), `_offset` (byte of the decompressed input at which
it begins), and one column per field of the layout, named as it: NUMBER float64, TEXT string, BOOL bool, ALTITUDE float64
with a bool column `<name>_ground` before it, TIME int64 in ms since 1970-01-01 UTC. Then undeclared keys, as
`core/extras.py` describes them.

Broken records are dropped with a reason and their place, and cost nothing around them (see `mend.py`).
"""

from __future__ import annotations

from flight_etl.core.decode.decoder import ALL_ROWS, Decoder, PartsDecoder, decode, decoder_name
from flight_etl.core.decode.sniff import detect
from flight_etl.core.decode.window import Source

__all__ = ["ALL_ROWS", "Decoder", "PartsDecoder", "Source", "decode", "decoder_name", "detect"]
