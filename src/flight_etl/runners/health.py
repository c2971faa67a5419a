"""Is it able to work? Asked without side effects, answered in well under a second."""

from __future__ import annotations

import platform
import shutil
import tempfile
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flight_etl import resources
from flight_etl._version import __version__
from flight_etl.errors import Denied, FlightEtlError, NotFound
from flight_etl.resilience.breaker import State
from flight_etl.resilience.sqs import client, queue_errors
from flight_etl.store.places import ObjectUrl

if TYPE_CHECKING:
    from collections.abc import Callable

    from flight_etl.runners.processor import Processor

__all__ = ["health"]

_WITHIN_S: Final = 0.8  # s for all looks at other services together
_PROBE: Final = "flight-etl-health-check-that-is-not-there"
_FULL: Final = 0.9  # of the memory bound
_LEAST_SCRATCH_MB: Final = 100  # MB; Lambda gives 512 at least
_MB: Final = 1_000_000


def health(processor: Processor) -> dict[str, Any]:
    """Tell the state of the parts, and of the whole: healthy, degraded (it works, but …) or unhealthy (it cannot work)."""
    service = processor.settings.service
    problems: list[str] = []
    broken: list[str] = []
    reach = _reachability(processor)
    for name, answer in reach.items():
        if answer not in ("ok", "not configured"):
            (broken if name in ("input", "output") else problems).append(f"{name}: {answer}")
    breakers = {breaker.name: breaker.state for breaker in (processor.breaker, processor.queue_breaker)}
    problems += [f"circuit breaker {name!r} is {state}" for name, state in breakers.items() if state is not State.CLOSED]
    rss, bound = resources.rss_mb(), processor.memory_bound_mb
    if bound is not None and rss > _FULL * bound:
        problems.append(f"memory: {rss:.0f} of {bound:.0f} MB in use")
    scratch = _scratch(processor)
    if "error" in scratch:
        broken.append(f"scratch: {scratch['error']}")
    elif scratch["free_mb"] < _LEAST_SCRATCH_MB:
        problems.append(f"scratch: {scratch['free_mb']} MB free in {scratch['folder']}, rows that do not fit in memory go there")
    done, failed = processor.statistics["done"], processor.statistics["dead"] + processor.statistics["given_back"]
    return {
        "overall_health": "unhealthy" if broken else "degraded" if problems else "healthy",
        "problems": broken + problems,
        "error_recovery_statistics": {
            "success_rate": done / (done + failed) if done + failed else 1.0,
            **processor.statistics,
            "circuit_breakers": {name: str(state) for name, state in breakers.items()},
        },
        "reachability": reach,
        "caches": processor.remembered.to_json() if processor.remembered is not None else "off",
        "memory": {"rss_mb": round(rss, 1), "peak_rss_mb": round(resources.peak_rss_mb(), 1), **processor.memory.to_json()},
        "scratch": scratch,
        "decoder": _decoder(),
        "phases": _phases(),
        "tracks": _tracks(),
        "environment": service.environment,
        "versions": _versions(),
    }


def _scratch(processor: Processor) -> dict[str, Any]:
    """Space on the disk that rows go to when they do not fit in memory, MB (10^6 B)."""
    folder = processor.settings.resources.spill_dir or tempfile.gettempdir()
    try:
        space = shutil.disk_usage(folder)
    except OSError as error:
        return {"folder": folder, "error": f"{folder}: {error.strerror}"}
    return {"folder": folder, "free_mb": space.free // _MB, "total_mb": space.total // _MB}


def _decoder() -> str:
    from flight_etl.core import decode

    return decode.decoder_name()


def _phases() -> str:
    from flight_etl.core.enrich.kernels import phases_name

    return phases_name()


def _tracks() -> str:
    from flight_etl.core.kernels import tracks_name

    return tracks_name()


def _versions() -> dict[str, str]:
    import numpy as np
    import pyarrow as pa

    return {"flight_etl": __version__, "python": platform.python_version(), "pyarrow": pa.__version__, "numpy": np.__version__}


def _reachability(processor: Processor) -> dict[str, str]:
    """Ask each bucket for an object that is not there, and the queue for its attributes, all at once."""
    service = processor.settings.service
    places = {"input": service.input_bucket, "output": service.output_bucket, "errors": service.error_bucket}
    asked: dict[str, Callable[[], object]] = {
        name: partial(_ask_bucket, processor, bucket) for name, bucket in places.items() if bucket is not None
    }
    answers = dict.fromkeys((*places, "dead_letter_queue"), "not configured")
    if service.dlq_queue_url:
        try:  # loading the client takes a while, and asks nobody
            asked["dead_letter_queue"] = partial(_ask_queue, client(service.aws_region), service.dlq_queue_url)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            answers["dead_letter_queue"] = str(error)
    answers |= dict.fromkeys(asked, f"no answer within {_WITHIN_S} s")
    threads = [threading.Thread(target=_note, args=(answers, name, ask), daemon=True) for name, ask in asked.items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + _WITHIN_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(answers)


def _note(answers: dict[str, str], name: str, ask: Callable[[], object]) -> None:
    """Note what a place says: "ok", or what is wrong with it."""
    try:
        ask()
    except Denied:
        answers[name] = "access denied"
    except FlightEtlError as error:
        answers[name] = error.message
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        answers[name] = f"{type(error).__name__}: {error}"
    else:
        answers[name] = "ok"


def _ask_bucket(processor: Processor, bucket: str) -> None:
    try:
        processor.probes.bucket(ObjectUrl("s3", bucket, "")).read(_PROBE)  # GET: the answer to a HEAD has no code
    except NotFound as error:
        if "no such bucket" in error.message:
            raise NotFound("no such bucket") from error


def _ask_queue(sqs: Any, url: str) -> None:
    with queue_errors(url):
        sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
