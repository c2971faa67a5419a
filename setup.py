"""Builds the fast modules, where there is a compiler; without one the package is complete and slower.

Also takes the flat modules of src/lambda/etl along in the wheel, since `flight-etl package-lambda` puts them into the zip.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

_ARGUMENTS: Final = [
    "-O3",
    "-fno-strict-aliasing",
    "-ffp-contract=off",  # no fused multiply-add: the same bits as NumPy, on every architecture
    "-DCYTHON_INLINE=inline __attribute__((always_inline))",  # what is `inline` in the decoder is meant so: half of its speed
    *os.environ.get("FLIGHT_ETL_CFLAGS", "").split(),
]
_MODULES: Final = (  # each has a twin in Python that gives the same answers
    "flight_etl.core._track_kernels",
    "flight_etl.core.decode._fast",
    "flight_etl.core.enrich._phase_kernels",
)
_FRONT_DOOR: Final = Path("src/lambda/etl")
_OLDEST_ABI: Final = ("0x030B0000", "cp311")  # one build for Python 3.11 and all later ones: ADR 0007


class _BuildWithFrontDoor(build_py):
    """Copies the front door to where `runners/lambda_zip/contents.py` looks for it; an editable install reads it in place."""

    def run(self) -> None:
        super().run()
        if getattr(self, "editable_mode", False):
            return
        target = Path(self.build_lib) / "flight_etl" / "runners" / "lambda_zip" / "front_door"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in sorted(_FRONT_DOOR.iterdir()):
            if path.is_file():
                shutil.copyfile(path, target / path.name)


def _extensions() -> list[Extension]:
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = [
        Extension(
            name,
            [f"src/{name.replace('.', '/')}.pyx"],
            extra_compile_args=_ARGUMENTS,
            define_macros=[("Py_LIMITED_API", _OLDEST_ABI[0])],
            py_limited_api=True,
        )
        for name in _MODULES
    ]
    found: list[Extension] = cythonize(modules, include_path=["src"], language_level=3)
    for one in found:
        one.optional = True  # what cannot be compiled is left out; cythonize forgets it when it is set before
    return found


setup(
    ext_modules=_extensions(),
    cmdclass={"build_py": _BuildWithFrontDoor},
    options={"bdist_wheel": {"py_limited_api": _OLDEST_ABI[1]}},
)
