"""The settings that files were written with, read from their footers, and whether several files agree about them."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import InputError, Place, SettingsError
from flight_etl.settings import Settings
from flight_etl.settings_rules import check, from_mapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["FOOTER", "agreed", "differences", "of_footer", "of_text"]

FOOTER: Final = b"flight_etl.settings"
# Sections that decide what becomes of rows once they are clean. In all others files of one data set may differ.
_SHAPING: Final = ("dedupe", "stale", "outlier", "segment", "impute", "motion", "speed", "phase", "airports", "output")
_MISSING: Final = "not there"

Stored = tuple[tuple[str, str], ...]  # "section.key" and the JSON text of its value


def of_footer(metadata: Mapping[bytes, bytes] | None, *, name: str) -> Stored:
    """Settings in the footer of a file. Raises InputError where there are none: the file is not ours."""
    try:
        return _flat(json.loads((metadata or {})[FOOTER]))
    except (KeyError, ValueError, AttributeError) as error:
        raise InputError(
            "was not written by flight-etl (its footer holds no settings); move it out of the data set", place=Place(name)
        ) from error


def of_text(text: str) -> Stored:
    """Settings in the JSON form that a footer has."""
    return _flat(json.loads(text))


def _flat(settings: Mapping[str, Any]) -> Stored:
    pairs = []
    for section, value in settings.items():
        members = {f"{section}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {section: value}
        pairs += [(name, json.dumps(one, sort_keys=True)) for name, one in members.items()]
    return tuple(sorted(pairs))


def differences(stored: Iterable[Stored]) -> dict[str, list[str]]:
    """Settings that are not the same in all, each with its values in order."""
    found: dict[str, set[str]] = {}
    tables = [dict(one) for one in stored]
    for name in {name for table in tables for name in table}:
        found[name] = {table.get(name, _MISSING) for table in tables}
    return {name: sorted(values) for name, values in sorted(found.items()) if len(values) > 1}


def agreed(stored: Iterable[Stored], given: Settings, chosen: frozenset[str]) -> Settings:
    """The settings of all files, with those named in `chosen` as they are `given`, and with the resources given.

    Where files differ in how they were read (layout, filters, service ...) the default stands. Raises SettingsError where they
    differ in what shapes the rows' way from here, and `chosen` does not say which is meant.
    """
    known = frozenset(stored)
    apart = differences(known)
    open_ = {name: values for name, values in apart.items() if name.partition(".")[0] in _SHAPING and name not in chosen}
    if open_:
        told = "; ".join(f"{name} is {' or '.join(values)}" for name, values in open_.items())
        first = next(iter(open_))
        raise SettingsError(
            f"the files of the data set were written with different settings: {told}; "
            f"say which are meant, for example with --set {first}={json.loads(open_[first][-1])}"
        )
    common = {name: json.loads(value) for name, value in next(iter(known), ()) if name not in apart and name not in chosen}
    settings = from_mapping(_nested(common), base=Settings(), where="footer")
    for field in fields(settings):
        own = getattr(given, field.name)
        keys = [name.partition(".")[2] for name in chosen if name.partition(".")[0] == field.name]
        if keys and "" not in keys:
            own = replace(getattr(settings, field.name), **{key: getattr(own, key) for key in keys})
        if keys or field.name == "resources":
            settings = replace(settings, **{field.name: own})
    check(settings)
    return settings


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        section, dot, key = name.partition(".")
        if dot:
            nested.setdefault(section, {})[key] = value
        else:
            nested[name] = value
    return nested
