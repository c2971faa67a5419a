"""Builds the fast decoder, where there is a compiler; without one the package is complete and decodes more slowly."""

from __future__ import annotations

import os
from typing import Final

from setuptools import Extension, setup

_ARGUMENTS: Final = [
    "-O3",
    "-fno-strict-aliasing",
    "-DCYTHON_INLINE=inline __attribute__((always_inline))",  # what is `inline` in the decoder is meant so: half of its speed
    *os.environ.get("FLIGHT_ETL_CFLAGS", "").split(),
]
_SOURCE: Final = "src/flight_etl/core/decode/_fast.pyx"


def _extensions() -> list[Extension]:
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    decoder = Extension("flight_etl.core.decode._fast", [_SOURCE], extra_compile_args=_ARGUMENTS)
    found: list[Extension] = cythonize([decoder], include_path=["src"], language_level=3)
    for one in found:
        one.optional = True  # what cannot be compiled is left out; cythonize forgets it when it is set before
    return found


setup(ext_modules=_extensions())
