"""`flight-etl package-lambda`: the Lambda function as a zip."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flight_etl.errors import FlightEtlError

__all__ = ["package_lambda"]


@click.command("package-lambda")
@click.option(
    "--output", "-o", type=click.Path(file_okay=False, path_type=Path), default=Path("dist/lambda"), show_default=True,
    metavar="DIR", help="Folder for the zip and the Dockerfile.",
)  # fmt: skip
@click.option("--python-version", default="3.13", show_default=True, metavar="X.Y", help="Of Lambda's runtime.")
@click.option("--arch", type=click.Choice(("x86_64", "arm64")), default="x86_64", show_default=True, help="Of the function.")
@click.option(
    "--slim", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Only make this folder smaller, which `pip install -r requirements.txt -t DIR` filled.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON, and nothing else.")
def package_lambda(output: Path, python_version: str, arch: str, folder: Path | None, *, as_json: bool) -> None:
    """Make the zip of the Lambda function, for any Python and either architecture, within Lambda's limits.

    It holds the dependencies as wheels for the target, slimmed, this package with its decoder, and the documented modules at
    the root. Where something has to be left out (no compiler for the target, no `strip`), the command says so. boto3 is part
    of Lambda's runtime and stays out.

    \b
    Examples:
      flight-etl package-lambda -o dist/lambda
      flight-etl package-lambda --arch arm64 --json
      flight-etl package-lambda --slim package/
    """
    from flight_etl.runners.lambda_zip.target import Target

    target = Target(python=python_version, arch=arch)
    try:
        told = _slimmed(folder, target, as_json=as_json) if folder else _built(output, target, as_json=as_json)
    except FlightEtlError as error:
        if as_json and error.exit_code == 1:
            click.echo(json.dumps({"error": str(error)}, indent=2))
        raise
    click.echo(told)


def _built(output: Path, target: object, *, as_json: bool) -> str:
    from flight_etl.runners.lambda_zip.build import build
    from flight_etl.runners.lambda_zip.target import Target

    assert isinstance(target, Target)
    made = build(output, target)
    if as_json:
        return json.dumps(made.to_json(), indent=2)
    _note(made.notes)
    way = "through a bucket (over 50 MB)" if made.to_json()["needs_bucket"] else "directly"
    return (
        f"{made.path}: python{target.python}, {target.arch}, {made.decoder} decoder\n"
        f"{made.unzipped_bytes / 1e6:.1f} MB unzipped ({made.unslimmed_bytes / 1e6:.1f} before), "
        f"{made.zipped_bytes / 1e6:.1f} MB zipped, to be uploaded {way}\n"
        f"image form: {made.dockerfile}"
    )


def _slimmed(folder: Path, target: object, *, as_json: bool) -> str:
    from flight_etl.runners.lambda_zip.slim import slim
    from flight_etl.runners.lambda_zip.target import Target

    assert isinstance(target, Target)
    done = slim(folder, target)
    if as_json:
        sizes = {"path": str(folder), "bytes_before": done.bytes_before, "bytes_after": done.bytes_after}
        return json.dumps(sizes | {"notes": list(done.notes)}, indent=2)
    _note(done.notes)
    return f"{folder}: {done.bytes_after / 1e6:.1f} MB, {done.bytes_before / 1e6:.1f} before"


def _note(notes: tuple[str, ...]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)
