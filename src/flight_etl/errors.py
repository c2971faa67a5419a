"""Every error this package raises on purpose.

FlightEtlError              anything below; catch this one at an edge
├── InputError              bytes or data that cannot be used: corrupt, cut short, not flight data
├── StoreError              reading or writing a place failed
│   ├── NotFound            it is not there
│   ├── Denied              it is there and we may not
│   ├── Throttled           the service asks us to slow down
│   └── Unavailable         it does not answer, or answers brokenly
├── SettingsError           a flag, environment variable or configuration value is wrong
└── BalanceError            records read and records accounted for differ: our bug, stop
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "BalanceError",
    "Denied",
    "ErrorType",
    "FlightEtlError",
    "InputError",
    "NotFound",
    "Place",
    "SettingsError",
    "StoreError",
    "Throttled",
    "Unavailable",
]


class ErrorType(StrEnum):
    """What a failure calls for: another try, a slower try, a smaller try, or none."""

    TRANSIENT = "transient"
    THROTTLING = "throttling"
    RESOURCE = "resource"
    DATA_QUALITY = "data_quality"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the data something is wrong.

    `offset` counts bytes of the decompressed stream from 0, `record` counts records of the input from 0,
    `path` is a JSON path inside the record's document such as `$.states[3][7]`.
    """

    input: str
    offset: int | None = None
    record: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        parts = [self.input]
        if self.offset is not None:
            parts.append(f"byte {self.offset}")
        if self.record is not None:
            parts.append(f"record {self.record}")
        if self.path is not None:
            parts.append(self.path)
        return ", ".join(parts)


class FlightEtlError(Exception):
    """Base of all errors raised on purpose; the message says what, where and what to do."""

    error_type = ErrorType.UNKNOWN
    exit_code = 1

    def __init__(self, message: str, *, place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class InputError(FlightEtlError):
    """Bytes or data that cannot be used, whoever tries again."""

    error_type = ErrorType.DATA_QUALITY


class StoreError(FlightEtlError):
    """Reading or writing a place failed."""

    error_type = ErrorType.UNKNOWN


class NotFound(StoreError):  # noqa: N818 - DESIGN section 9 fixes the name
    """The file or object is not there."""

    error_type = ErrorType.PERMANENT


class Denied(StoreError):  # noqa: N818 - DESIGN section 9 fixes the name
    """The file or object may not be read or written by us."""

    error_type = ErrorType.PERMANENT


class Throttled(StoreError):  # noqa: N818 - DESIGN section 9 fixes the name
    """The service asks for fewer requests."""

    error_type = ErrorType.THROTTLING


class Unavailable(StoreError):  # noqa: N818 - DESIGN section 9 fixes the name
    """The service does not answer, or answers brokenly; a later try may succeed."""

    error_type = ErrorType.TRANSIENT


class SettingsError(FlightEtlError):
    """A setting is wrong; the message names the field, the value and the permitted range."""

    error_type = ErrorType.PERMANENT
    exit_code = 2


class BalanceError(FlightEtlError):
    """`read != written + dropped`: a bug of ours; nothing was published."""

    error_type = ErrorType.PERMANENT
