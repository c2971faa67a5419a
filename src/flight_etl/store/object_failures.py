"""The boundary at which what an object store says becomes an error of ours.

obstore has classes for a missing object, a refusal and a failed precondition. All the rest, a throttled request, an expired
token or a broken connection, is one `GenericError` that carries text and nothing else. Its text has two parts that the
library itself writes in a fixed form: the HTTP status with the body of the answer, and the kind of a transport error. Only
these are read here, and nothing of it is guessed from prose. tests/store/test_object_faults.py holds every case against the
installed version.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flight_etl.errors import Denied, ErrorType, NotFound, Place, StoreError, Throttled, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Conflict", "Unaddressable", "object_errors", "object_failure"]

# Written by object_store: client/retry.rs, `RequestError::Status`, and client/http/connection.rs, `HttpErrorKind`.
_STATUS: Final = re.compile(r"Server returned non-2xx status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([A-Za-z.]+)</Code>")
_TRANSPORT: Final = re.compile(r"HttpError \{\s+kind: (Connect|Request|Timeout|Interrupted|Decode)\b")
# The services that give a machine its role's credentials, on AWS, Google Cloud and Azure: asked when there are no others.
_CREDENTIALS: Final = re.compile(
    r"Error performing [A-Z]+ http://[^/ ]+/(latest/api/token|latest/meta-data/|computeMetadata/|metadata/identity/)"
)


class Conflict(StoreError):  # noqa: N818 - named like its siblings in errors.py
    """Somebody else has written the object: it exists, or is not the version we know."""

    error_type = ErrorType.PERMANENT


class Unaddressable(StoreError):  # noqa: N818
    """The object store permits the key, and its client does not."""

    error_type = ErrorType.PERMANENT


_KINDS: Final[Mapping[int, type[StoreError]]] = {
    **dict.fromkeys((401, 403), Denied),
    **dict.fromkeys((404, 410), NotFound),
    **dict.fromkeys((409, 412), Conflict),
    **dict.fromkeys((429, 503), Throttled),
    **dict.fromkeys((408, 425, 500, 502, 504), Unavailable),
}
# Codes that say more than their status does (S3 API reference, "Error responses").
_KINDS_BY_CODE: Final[Mapping[str, type[StoreError]]] = {
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "TokenRefreshRequired"), Denied),
    **dict.fromkeys(("RequestTimeout", "IncompleteBody", "BadDigest", "OperationAborted", "InternalError"), Unavailable),
    **dict.fromkeys(("SlowDown", "Throttling", "RequestLimitExceeded", "TooManyRequests"), Throttled),
    "ServiceUnavailable": Unavailable,
}
_ADVICE: Final[Mapping[type[StoreError], str]] = {
    NotFound: "there is no such object; check the name",
    Denied: "we may not; check the credentials and the permissions on the bucket, the object and its key",
    Conflict: "somebody else has written it in the meantime",
    Unaddressable: "an empty part, a part . or .., or a control character in a key cannot be addressed; copy the object",
    Throttled: "the store asks for fewer requests; try again later or with fewer workers",
    Unavailable: "the store did not answer, or answered brokenly; try again",
}
_ADVICE_BY_CODE: Final[Mapping[str, str]] = {
    "NoSuchBucket": "there is no such bucket; check the name, the region and AWS_ENDPOINT_URL",
    "NoSuchVersion": "there is no such version of the object any more",
    "NoSuchUpload": "the upload was aborted by someone else; try again",
    "InvalidObjectState": "the object is archived; restore it first",
    "ExpiredToken": "the session token has expired; get new credentials",
    "InvalidAccessKeyId": "there is no such access key; check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "EntityTooLarge": "the object is larger than the store accepts",
}


def object_failure(error: Exception, place: str, doing: str) -> StoreError:
    """Our error for what obstore raised while `doing` something ("read", "list") with the object or prefix `place`."""
    text = str(error)
    status = int(found[1]) if (found := _STATUS.search(text)) else None
    code = found[1] if (found := _CODE.search(text)) else ""
    kind = _KINDS_BY_CODE.get(code) or _by_class(error) or _KINDS.get(status or 0)
    if _CREDENTIALS.search(text):
        kind, advice = Denied, "no credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your cloud uses"
    elif kind is None and (_TRANSPORT.search(text) or (status or 0) >= 500):  # noqa: PLR2004 - 5xx is the server's fault
        kind, advice = Unavailable, _ADVICE[Unavailable]
    elif kind is None:
        kind, advice = StoreError, text.partition("\n")[0]
    else:
        advice = _ADVICE_BY_CODE.get(code, _ADVICE[kind])
    said = f" ({' '.join(filter(None, (str(status or ''), code)))})" if status else ""
    return kind(f"cannot {doing}: {advice}{said}", place=Place(place))


def _by_class(error: Exception) -> type[StoreError] | None:
    from obstore import exceptions

    if isinstance(error, FileNotFoundError):
        return NotFound
    if isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)):
        return Denied
    if isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
        return Conflict
    if isinstance(error, (exceptions.InvalidPathError, ValueError)):
        return Unaddressable
    return None


@contextmanager
def object_errors(place: str, doing: str) -> Iterator[None]:
    """Turn what obstore raises inside the block into ours, see `object_failure`."""
    from obstore import exceptions

    try:
        yield
    except (exceptions.BaseError, OSError, ValueError, NotImplementedError) as error:
        raise object_failure(error, place, doing) from error
