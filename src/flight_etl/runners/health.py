"""Is it able to work? Asked without side effects, answered in well under a second."""

from __future__ import annotations

import platform
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from flight_etl import resources
from flight_etl._version import __version__
from flight_etl.errors import Denied, FlightEtlError, NotFound
from flight_etl.resilience.breaker import State
from flight_etl.store.places import ObjectUrl

if TYPE_CHECKING:
    from flight_etl.runners.processor import Processor

__all__ = ["health"]

_WITHIN_S: Final = 0.8  # s for all looks at other services together
_PROBE: Final = "flight-etl-health-check-that-is-not-there"
_FULL: Final = 0.9  # of the memory bound


def health(processor: Processor) -> dict[str, Any]:
    """Tell the state of the parts, and of the whole: healthy, degraded (it works, but …) or unhealthy (it cannot work)."""
    service = processor.settings.service
    problems: list[str] = []
    broken: list[str] = []
    reach = _reachability(processor)
    for name, answer in reach.items():
        if answer not in ("ok", "not configured"):
            (broken if name in ("input", "output") else problems).append(f"{name}: {answer}")
    breaker = processor.breaker.state
    if breaker is not State.CLOSED:
        problems.append(f"circuit breaker {processor.breaker.name!r} is {breaker}")
    rss, bound = resources.rss_mb(), processor.memory_bound_mb
    if bound is not None and rss > _FULL * bound:
        problems.append(f"memory: {rss:.0f} of {bound:.0f} MB in use")
    done, failed = processor.statistics["done"], processor.statistics["dead"] + processor.statistics["given_back"]
    return {
        "overall_health": "unhealthy" if broken else "degraded" if problems else "healthy",
        "problems": broken + problems,
        "error_recovery_statistics": {
            "success_rate": done / (done + failed) if done + failed else 1.0,
            **processor.statistics,
            "circuit_breakers": {processor.breaker.name: str(breaker)},
        },
        "reachability": reach,
        "memory": {"rss_mb": round(rss, 1), "peak_rss_mb": round(resources.peak_rss_mb(), 1), "bound_mb": bound},
        "decoder": _decoder(),
        "environment": service.environment,
        "versions": _versions(),
    }


def _decoder() -> str:
    from flight_etl.core import decode

    return decode.decoder_name()


def _versions() -> dict[str, str]:
    import numpy as np
    import pyarrow as pa

    return {"flight_etl": __version__, "python": platform.python_version(), "pyarrow": pa.__version__, "numpy": np.__version__}


def _reachability(processor: Processor) -> dict[str, str]:
    """Ask each bucket for an object that is not there, and the queue for its attributes, all at once."""
    service = processor.settings.service
    places = {"input": service.input_bucket, "output": service.output_bucket, "errors": service.error_bucket}
    answers = dict.fromkeys((*places, "dead_letter_queue"), "not configured")
    threads = []
    for name, bucket in places.items():
        if bucket is not None:
            answers[name] = f"no answer within {_WITHIN_S} s"
            threads.append(threading.Thread(target=_ask_bucket, args=(processor, bucket, name, answers), daemon=True))
    if service.dlq_queue_url:
        answers["dead_letter_queue"] = f"no answer within {_WITHIN_S} s"
        threads.append(threading.Thread(target=_ask_queue, args=(processor, service.dlq_queue_url, answers), daemon=True))
    for thread in threads:
        thread.start()
    until = time.monotonic() + _WITHIN_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(answers)


def _ask_bucket(processor: Processor, bucket: str, name: str, answers: dict[str, str]) -> None:
    try:
        processor.probes.bucket(ObjectUrl("s3", bucket, "")).read(_PROBE)  # GET: the answer to a HEAD has no code
    except NotFound as error:
        answers[name] = "no such bucket" if "no such bucket" in error.message else "ok"
    except Denied:
        answers[name] = "access denied"
    except FlightEtlError as error:
        answers[name] = error.message
    else:
        answers[name] = "ok"


def _ask_queue(processor: Processor, url: str, answers: dict[str, str]) -> None:
    from flight_etl.resilience.sqs import client

    try:
        client(processor.settings.service.aws_region).get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        answers["dead_letter_queue"] = f"{type(error).__name__}: {error}"
    else:
        answers["dead_letter_queue"] = "ok"
