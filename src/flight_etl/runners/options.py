"""What was typed on the command line, in the environment and in a file, as settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from flight_etl.errors import SettingsError
from flight_etl.settings import Settings, from_env
from flight_etl.settings_rules import check, from_mapping, override

__all__ = ["CONFIG_FILE", "FLAGS", "settings_of"]

CONFIG_FILE: Final = "flight-etl.toml"
_ROOMY_CHUNK_ROWS: Final = 65_536  # the fewer chunks, the less of the time goes to what each of them costs
_TIGHT_MB: Final = 2_000  # MB; under a limit below it, chunks stay as small as elsewhere

# Flag -> section and field of Settings.
FLAGS: Final = {
    "--layout": ("decode", "layout"),
    "--chunk-size": ("decode", "chunk_rows"),
    "--units": ("", "units"),
    "--compression": ("output", "compression"),
    "--partition-by": ("output", "partition_by"),
    "--overwrite": ("output", "overwrite"),
    "--dedupe": ("dedupe", "strategy"),
    "--tolerance-s": ("dedupe", "tolerance_s"),
    "--phase-method": ("phase", "method"),
    "--table": ("table", "format"),
    "--workers": ("resources", "workers"),
    "--memory-limit-mb": ("resources", "memory_limit_mb"),
    "--spill-dir": ("resources", "spill_dir"),
}


def settings_of(options: dict[str, Any]) -> Settings:
    """Settings by precedence: flag, environment, file, default. Raises SettingsError; takes everything out of `options`."""
    settings = _automatic()
    path = options.pop("config", None) or (CONFIG_FILE if Path(CONFIG_FILE).is_file() else None)
    if path is not None:
        settings = from_mapping(_toml(Path(path)), base=settings, where=str(path))
    settings = from_env(base=settings)
    for assignment in options.pop("assignments", ()):
        name, mark, value = assignment.partition("=")
        if not mark:
            raise SettingsError(f"--set {assignment!r} is not permitted: SECTION.KEY=VALUE")
        section, _, key = name.rpartition(".")
        settings = override(settings, section, key, value, name=f"--set {name}")
    addresses = tuple(word.strip().lower() for one in options.pop("icao24", ()) for word in one.split(",") if word.strip())
    if addresses:
        settings = override(settings, "filter", "icao24", addresses)
    for flag, key in (("--bbox", "bbox"), ("--from", "start_ms"), ("--to", "end_ms")):
        value = options.pop(key, None)
        if value is not None:
            settings = override(settings, "filter", key, value, name=flag)
    if options.get("dedupe") is not None:  # a strategy switches on what ENABLE_DUPLICATE_REMOVAL has switched off
        settings = override(settings, "dedupe", "enabled", value=options["dedupe"] != "none")
    if options.get("dedupe") == "none":
        options.pop("dedupe")
    for flag, (section, key) in FLAGS.items():
        value = options.pop(flag[2:].replace("-", "_"), None)
        if value is not None:
            settings = override(settings, section, key, value, name=flag)
    assert not options, options  # an option that nothing reads
    check(settings)
    return _within_memory(settings)


def _automatic() -> Settings:
    """Defaults of the command line, which has no chunk size of its own."""
    settings = Settings()
    return replace(settings, decode=replace(settings.decode, chunk_rows=_ROOMY_CHUNK_ROWS))


def _within_memory(settings: Settings) -> Settings:
    limit = settings.resources.memory_limit_mb
    if settings.decode.chunk_rows != _ROOMY_CHUNK_ROWS or limit is None or limit >= _TIGHT_MB:
        return settings
    return replace(settings, decode=replace(settings.decode, chunk_rows=Settings().decode.chunk_rows))


def _toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{path}: {error}") from error
