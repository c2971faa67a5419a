"""Documents and sources are made by the helpers of tests/core; the S3 server is that of all tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))

from servers import moto_server  # noqa: F401 - a fixture
