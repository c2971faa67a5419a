"""What an installed package holds that the function never opens, as a table of rules, each with its reason.

Nothing here may go that `import pyarrow` links to: substrait, dataset and acero look unused and are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import PurePosixPath

__all__ = ["LEFT_OUT", "RULES", "Rule", "why_unneeded"]

# Distributions that are not shipped: their modules at the root of the package, and why.
LEFT_OUT: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "boto3": (("boto3",), "part of Lambda's runtime"),
    "botocore": (("botocore",), "part of Lambda's runtime"),
    "s3transfer": (("s3transfer",), "only boto3 needs it"),
    "python_dateutil": (("dateutil",), "only botocore needs it"),
    "six": (("six.py",), "only dateutil needs it"),
    "urllib3": (("urllib3",), "only botocore needs it"),
    "click": (("click",), "only the command line needs it"),
    "rich": (("rich",), "only the command line needs it"),
    "pygments": (("pygments",), "only rich needs it"),
    "markdown_it_py": (("markdown_it",), "only rich needs it"),
    "mdurl": (("mdurl",), "only rich needs it"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Files that are left out. `pattern` is searched in the path below the package's root, which begins with a slash."""

    pattern: re.Pattern[str]
    why: str


def _rule(pattern: str, why: str) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), why)


_MODULES: Final = "|".join(re.escape(name) for names, _ in LEFT_OUT.values() for name in names)
_DISTRIBUTIONS: Final = "|".join(name.replace("_", "[-_.]") for name in LEFT_OUT)

RULES: Final = (
    _rule(rf"^/(?:{_MODULES})(?:/|$)", "a distribution that is not needed"),
    _rule(rf"^/(?:{_DISTRIBUTIONS})-[^/]*\.(?:dist|egg)-info/", "a distribution that is not needed"),
    _rule(
        r"^/[^/]+\.dist-info/(?:RECORD|INSTALLER|REQUESTED|direct_url\.json|WHEEL|entry_points\.txt|top_level\.txt)$",
        "pip's books",
    ),
    _rule(r"^/bin/", "commands"),
    _rule(r"/__pycache__/|\.py[co]$", "compiled anew for the target, so that it can be told what it holds"),
    _rule(r"^/(?!.*\.dist-info/).*/tests?/", "tests of a dependency"),
    _rule(r"\.(?:pyx|pxd|pxi|pyi|h|hh|hpp|hxx|c|cc|cpp|cxx|a|cmake|pc)$", "for compilers and type checkers"),
    _rule(r"^/pyarrow/(?:include|src)/", "for compilers"),
    _rule(r"^/pyarrow/(?:lib(?:arrow|arrow_python)_flight|_flight|flight\.py)", "Arrow Flight: no server is asked"),
    _rule(r"^/pyarrow/(?:libarrow_s3|_s3fs)", "objects are read through obstore"),
    _rule(
        r"^/pyarrow/(?:_pyarrow_cpp_tests|libarrow_testing|_cuda|gandiva|jvm\.py|benchmark\.py)",
        "tests and parts for other machines",
    ),
    _rule(r"^/numpy/(?:f2py|distutils|_core/include|_core/lib|_pyinstaller)/", "for compilers and packagers"),
    _rule(r"^/numpy/(?:_core|core)/(?:_.*_tests|_simd)\.", "tests of a dependency"),
    _rule(r"^/zstandard/(?:_cffi|backend_cffi|backend_rust)", "the backend in C is what CPython loads"),
    _rule(r"^/airportsdata/", "its table is in flight_etl/store, in a form that loads in milliseconds"),
)


def why_unneeded(path: PurePosixPath) -> str | None:
    """Tell why the function does not need the file at this path below the package's root; None where it may."""
    text = f"/{path}"
    return next((rule.why for rule in RULES if rule.pattern.search(text)), None)
