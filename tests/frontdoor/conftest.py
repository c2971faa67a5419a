"""The front door's folder on the module search path, as it is at the root of a Lambda package."""

from __future__ import annotations

import sys
from pathlib import Path

from servers import ceph_server, moto_server, s3, s3_server  # noqa: F401 - fixtures

sys.path.insert(0, str(Path(__file__).parents[2] / "src" / "lambda" / "etl"))
