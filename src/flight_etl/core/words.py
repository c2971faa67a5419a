"""Identifiers and codes as text: addresses, callsigns, squawks, categories, position sources.

Columns are dictionary-encoded first, so that each different word is looked at once however many rows have it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "SOURCES",
    "address",
    "addresses",
    "callsigns",
    "categories",
    "category",
    "encode",
    "recode",
    "renamed",
    "source",
    "source_of_type",
    "squawk",
    "squawks",
    "trimmed",
]

Bools = npt.NDArray[np.bool_]

_HEX: Final = np.isin(np.arange(256), np.frombuffer(b"0123456789abcdef", np.uint8))
_OCTAL: Final = np.isin(np.arange(256), np.frombuffer(b"01234567", np.uint8))
_ADDRESS: Final = re.compile(r"~?[0-9a-f]{6}")
_NUMBER: Final = re.compile(r"(\d{1,9})(?:\.0*)?", re.ASCII)
_SQUAWK: Final = re.compile(r"[0-7]{4}")
_CATEGORY: Final = re.compile(r"[A-D][0-7]")
_ADDRESS_DIGITS: Final = 6
_SQUAWK_DIGITS: Final = 4
_CALLSIGN_LENGTH: Final = 8
# What transponders and decoders send in place of a callsign: padding, zeros, the 6-bit code 0 (written @).
_NO_CALLSIGN: Final = pa.array([fill * n for fill in ("0", "@") for n in range(1, _CALLSIGN_LENGTH + 1)] + [""])

# OpenSky's category numbers (REST documentation, "category") as emitter category codes of DO-260B; 0: no information at all.
_OPENSKY_CATEGORY: Final = dict(
    enumerate([f"A{n}" for n in range(8)] + [f"B{n}" for n in range(1, 8)] + [f"C{n}" for n in range(1, 6)], start=1)
)

SOURCES: Final = ("adsb", "adsr", "tisb", "mlat", "adsc", "asterix", "flarm", "mode_s", "other")
_OPENSKY_SOURCE: Final = {0: "adsb", 1: "asterix", 2: "mlat", 3: "flarm"}


def encode(column: pa.Array) -> pa.DictionaryArray:
    """Dictionary-encode a text column; one that is already encoded comes back with int32 indices."""
    if pa.types.is_dictionary(column.type):
        return column.cast(pa.dictionary(pa.int32(), pa.string()))
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    return column.cast(pa.string()).dictionary_encode()


def recode(encoded: pa.DictionaryArray, words: pa.Array) -> pa.DictionaryArray:
    """Put `words`, one for each word of the dictionary, null for none, in their place; equal words become one."""
    renewed = words.dictionary_encode()
    return pa.DictionaryArray.from_arrays(renewed.indices.take(encoded.indices), renewed.dictionary)


def trimmed(encoded: pa.DictionaryArray) -> pa.DictionaryArray:
    """Words without blanks around them; blank words become null."""
    words = pc.utf8_trim_whitespace(encoded.dictionary)
    return recode(encoded, pc.if_else(pc.equal(words, ""), None, words))


def _plain(words: pa.Array, width: int, permitted: Bools) -> bool:
    """Whether every word has `width` bytes, all of them permitted. Costs a table lookup per byte."""
    if not len(words) or words.null_count:
        return False
    _, offsets, data = words.buffers()
    ends = np.frombuffer(offsets, np.int32)[words.offset : words.offset + len(words) + 1]
    if data is None or not bool(np.all(np.diff(ends) == width)):
        return False
    return bool(permitted[np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]].all())


def renamed(encoded: pa.DictionaryArray, rule: Callable[[str], str | None]) -> pa.DictionaryArray:
    """Put what `rule` makes of each word in its place."""
    return recode(encoded, pa.array([rule(word) for word in encoded.dictionary.to_pylist()], pa.string()))


def addresses(encoded: pa.DictionaryArray) -> pa.DictionaryArray:
    """Addresses as `address` writes them; null for what is none."""
    words = encoded.dictionary
    return encoded if _plain(words, _ADDRESS_DIGITS, _HEX) else renamed(encoded, address)


def address(word: str) -> str | None:
    """24-bit address as six lower-case hex digits, a leading ~ kept; None if it is none.

    Decimal digits alone may be fewer than six, and end in `.0`: that is what spreadsheets and data frames make of an address
    such as `010123`. Fewer digits with letters among them are a cut address, and none.
    """
    word = word.strip().lower().removeprefix("0x")
    if _ADDRESS.fullmatch(word):
        return word
    number = _NUMBER.fullmatch(word)
    if number is None or len(number[1]) > _ADDRESS_DIGITS:
        return None
    return number[1].zfill(_ADDRESS_DIGITS)


def callsigns(encoded: pa.DictionaryArray) -> pa.DictionaryArray:
    """Callsigns without padding; null for blanks and for what is sent in place of a callsign."""
    words = pc.utf8_trim(encoded.dictionary, " \t\r\n\0")
    return recode(encoded, pc.if_else(pc.is_in(words, _NO_CALLSIGN), None, words))


def squawks(encoded: pa.DictionaryArray) -> pa.DictionaryArray:
    """Squawks as `squawk` writes them; null for what is none."""
    words = encoded.dictionary
    return encoded if _plain(words, _SQUAWK_DIGITS, _OCTAL) else renamed(encoded, squawk)


def squawk(word: str) -> str | None:
    """Four octal digits; a number (241, 1174.0) gets its leading zeros back. None if it is no code; a bare 0 is none."""
    word = word.strip()
    number = _NUMBER.fullmatch(word)
    if number is None or word in ("0", "0.0"):
        return None
    code = number[1].zfill(_SQUAWK_DIGITS)
    return code if _SQUAWK.fullmatch(code) else None


def categories(encoded: pa.DictionaryArray) -> pa.DictionaryArray:
    """Emitter categories as `category` writes them; null for what is none."""
    return renamed(encoded, category)


def category(word: str) -> str | None:
    """Emitter category A0 to D7 of DO-260B, from such a code or OpenSky's number for it."""
    word = word.strip().upper()
    if _CATEGORY.fullmatch(word):
        return word
    number = _NUMBER.fullmatch(word)
    return _OPENSKY_CATEGORY.get(int(number[1])) if number else None


def source(word: str) -> str | None:
    """Position source from OpenSky's number or a word; None for a blank."""
    plain = re.sub(r"[^a-z0-9]", "", word.lower())
    if not plain:
        return None
    number = _NUMBER.fullmatch(word.strip())
    if number:
        return _OPENSKY_SOURCE.get(int(number[1]), "other")
    if plain in ("modes", "modec", "modeac"):
        return "mode_s"
    return plain if plain in SOURCES else source_of_type(word)


def source_of_type(word: str) -> str | None:
    """Position source from readsb's `type`, such as adsb_icao_nt or tisb_trackfile; None for a blank."""
    word = word.strip().lower()
    if not word:
        return None
    return "mode_s" if word == "mode_s" else next((s for s in SOURCES if word.startswith(s)), "other")
