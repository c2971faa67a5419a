"""What a process that only parses has to tell: how many values it read, and the seconds of CPU that took."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["told"]


@contextmanager
def told() -> Iterator[list[int]]:
    """Time what is done inside and print it, with the sum of the counts that it has put into the list."""
    values: list[int] = []
    began = time.process_time()
    yield values
    sys.stdout.write(json.dumps({"values": sum(values), "seconds": time.process_time() - began}) + "\n")
