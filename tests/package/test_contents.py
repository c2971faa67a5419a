"""What is in the zip, and that it works with nothing beside it: the zip's own contents are what is tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NOT_IMPORTED = {
    *("boto3", "botocore", "pandas", "polars", "duckdb", "matplotlib", "moto", "click", "rich", "airportsdata"),
    *("pyarrow.dataset", "pyarrow.csv", "hypothesis", "pytest"),
}


def run(root: Path, code: str) -> Any:
    """Run code with the package and the standard library on the search path, and nothing else; its last line as JSON."""
    paths = f"import sys; sys.path.insert(0, {str(root)!r}); assert not any('site-packages' in one for one in sys.path), sys.path"
    environment = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "TMPDIR")}
    command = [sys.executable, "-I", "-S", "-c", f"{paths}\n{code}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_handler_comes_without_anything_heavy(lambda_root: Path) -> None:
    loaded = run(lambda_root, "import main_etl_processor, json; print(json.dumps(sorted(sys.modules)))")
    assert {"main_etl_processor", "flight_etl.runners.aws_lambda"} <= set(loaded)
    assert not {name for name in loaded if name in NOT_IMPORTED or name.split(".")[0] in NOT_IMPORTED}
