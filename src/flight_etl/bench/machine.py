"""The first lines of a record: when, where and with which command something was measured."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

__all__ = ["heading"]


def heading(title: str, command: str) -> str:
    """Title, command, day, kind of machine and versions, as Markdown."""
    return (
        f"# {title}\n\n    {command}\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}; {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, Arrow {pa.__version__}.\n"
    )
