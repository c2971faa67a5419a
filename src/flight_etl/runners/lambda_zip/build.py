"""From nothing to a zip that Lambda takes."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flight_etl.errors import FlightEtlError
from flight_etl.runners.lambda_zip import contents
from flight_etl.runners.lambda_zip.archive import write_zip
from flight_etl.runners.lambda_zip.slim import slim

if TYPE_CHECKING:
    from flight_etl.runners.lambda_zip.target import Target

__all__ = ["ZIPPED_LIMIT_BYTES", "Package", "build"]

ZIPPED_LIMIT_BYTES: Final = 60_000_000  # DESIGN section 10
DIRECT_UPLOAD_BYTES: Final = 50_000_000  # AWS: a larger zip goes through a bucket


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A finished zip. `notes` say in whole sentences what is not as good as it could be."""

    path: Path
    dockerfile: Path
    target: Target
    unslimmed_bytes: int  # as pip left it
    unzipped_bytes: int
    zipped_bytes: int
    sha256: str
    decoder: str  # fast or reference
    distributions: dict[str, str] = field(default_factory=dict)  # version by name
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "path": str(self.path),
            "dockerfile": str(self.dockerfile),
            "python": self.target.python,
            "arch": self.target.arch,
            "unslimmed_bytes": self.unslimmed_bytes,
            "unzipped_bytes": self.unzipped_bytes,
            "zipped_bytes": self.zipped_bytes,
            "needs_bucket": self.zipped_bytes > DIRECT_UPLOAD_BYTES,
            "sha256": self.sha256,
            "decoder": self.decoder,
            "distributions": self.distributions,
            "notes": list(self.notes),
        }


def build(output: Path, target: Target) -> Package:
    """Write `flight-etl-lambda-py<version>-<arch>.zip` and the Dockerfile of the image form into the folder `output`.

    Raises StoreError where pip fails, and FlightEtlError where the package would be above 180 MB unzipped or 60 MB zipped;
    then nothing is written.
    """
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"flight-etl-lambda-py{target.python}-{target.arch}.zip"
    with tempfile.TemporaryDirectory(dir=output, prefix=".part-") as work:
        folder = Path(work) / "package"
        folder.mkdir()
        contents.install_dependencies(folder, target)
        contents.copy_package(folder)
        slower = contents.place_decoder(folder, target)
        slimmed = slim(folder, target)
        part = Path(work) / path.name
        zipped = write_zip(folder, part)
        if zipped > ZIPPED_LIMIT_BYTES:
            raise FlightEtlError(
                f"{path}: {zipped / 1e6:.1f} MB zipped, {ZIPPED_LIMIT_BYTES / 1e6:.0f} MB are permitted; leave out what the "
                "function does not import, or use the image form (Dockerfile)"
            )
        result = Package(
            path=path,
            dockerfile=output / "Dockerfile",
            target=target,
            unslimmed_bytes=slimmed.bytes_before,
            unzipped_bytes=slimmed.bytes_after,
            zipped_bytes=zipped,
            sha256=hashlib.sha256(part.read_bytes()).hexdigest(),
            decoder="reference" if slower else "fast",
            distributions=_distributions(folder),
            notes=(*([slower] if slower else []), *slimmed.notes),
        )
        part.replace(path)
    shutil.copyfile(contents.front_door() / "Dockerfile", result.dockerfile)
    return result


def _distributions(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.glob("*.dist-info")):
        name, version = re.fullmatch(r"(.+)-([^-]+)\.dist-info", path.name).groups()  # type: ignore[union-attr]
        found[name] = version
    return found
