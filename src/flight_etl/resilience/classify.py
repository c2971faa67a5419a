"""What kind of failure an exception is: by its type, its error code and its errno, never by searching its text.

Third-party exceptions are recognised by what they carry (a `response` mapping with a code and an HTTP status, as botocore's
`ClientError` has, or an `errno`) and by the names of their classes, so that no client library is imported to ask.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from flight_etl.errors import ErrorType, FlightEtlError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ErrorClassifier", "classify_error"]

_T, _H, _R = ErrorType.TRANSIENT, ErrorType.THROTTLING, ErrorType.RESOURCE
_D, _P = ErrorType.DATA_QUALITY, ErrorType.PERMANENT

# AWS "Common error types" and the error lists of S3 and SQS; what is not here is judged by its HTTP status.
_BY_CODE: Final[Mapping[str, ErrorType]] = {
    **dict.fromkeys(
        (
            "SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
            "RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded",
            "ProvisionedThroughputExceededException",
            "LimitExceededException", "PriorRequestNotComplete", "TransactionInProgressException", "EC2ThrottledException",
        ),
        _H,
    ),
    **dict.fromkeys(
        (
            "InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "RequestTimeout",
            "RequestTimeoutException", "OperationAborted", "ConditionalRequestConflict", "BadDigest", "IncompleteBody",
        ),
        _T,
    ),
    **dict.fromkeys(
        (
            "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NoSuchUpload", "AccessDenied", "AccessDeniedException", "Forbidden",
            "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidObjectState",
            "KMS.DisabledException", "KMSAccessDeniedException", "PreconditionFailed", "MethodNotAllowed", "404", "403",
        ),
        _P,
    ),
}  # fmt: skip

_BY_STATUS: Final[Mapping[int, ErrorType]] = {408: _T, 409: _T, 425: _T, 429: _H, 500: _T, 502: _T, 503: _H, 504: _T}

_BY_ERRNO: Final[Mapping[int, ErrorType]] = {
    **dict.fromkeys(
        (
            errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH,
            errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ESTALE,
        ),
        _T,
    ),
    **dict.fromkeys((errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EFBIG), _R),
    **dict.fromkeys(
        (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EEXIST), _P
    ),
}  # fmt: skip

# Looked up along the class's ancestry, nearest first.
_BY_CLASS: Final[Mapping[str, ErrorType]] = {
    "MemoryError": _R,
    "ConnectionError": _T,
    "TimeoutError": _T,
    "IncompleteRead": _T,  # http.client
    "HTTPClientError": _T,  # botocore: no answer, or a broken one
    "ConnectTimeoutError": _T,
    "SSLCertVerificationError": _P,  # which is a ValueError too
    "SSLError": _T,
    "gaierror": _T,  # its errno is none: EAI_AGAIN and the like
    "ReadTimeoutError": _T,
    "EndpointConnectionError": _T,
    "NoCredentialsError": _P,
    "PartialCredentialsError": _P,
    "ParamValidationError": _P,
    "PermissionError": _P,
    "FileNotFoundError": _P,
    "IsADirectoryError": _P,
    "NotADirectoryError": _P,
    "JSONDecodeError": _D,
    "UnicodeDecodeError": _D,
    "ArrowInvalid": _D,
    "ArrowTypeError": _D,
    "EOFError": _D,
    "BadGzipFile": _D,
    "ZstdError": _D,
    "ValueError": _D,
    "KeyError": _D,
    "IndexError": _D,
    "NotImplementedError": _P,
    "TypeError": _P,
    "AttributeError": _P,
    "ImportError": _P,
    "AssertionError": _P,
}


def classify_error(error: BaseException) -> ErrorType:
    """Say which kind of failure `error` is; UNKNOWN where nothing about it tells."""
    if isinstance(error, FlightEtlError) and error.error_type is not ErrorType.UNKNOWN:
        return error.error_type
    by_answer = _by_answer(getattr(error, "response", None))
    if by_answer is not None:
        return by_answer
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in _BY_ERRNO:
        return _BY_ERRNO[number]
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in _BY_CLASS:
            return _BY_CLASS[ancestor.__name__]
    return classify_error(error.__cause__) if error.__cause__ is not None else ErrorType.UNKNOWN


def _by_answer(response: object) -> ErrorType | None:
    """Judge a service's answer in the form that botocore's ClientError carries."""
    if not isinstance(response, dict):
        return None
    code = response.get("Error", {}).get("Code")
    if code in _BY_CODE:
        return _BY_CODE[code]
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return by_status(status) if isinstance(status, int) else None


def by_status(status: int) -> ErrorType:
    """Judge an HTTP status without a known code."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ErrorType.TRANSIENT if status >= 500 else ErrorType.PERMANENT  # noqa: PLR2004 - 5xx is the server's fault


class ErrorClassifier:
    """Classifies errors; a subclass adds its own knowledge in `classify_custom_error`, which is asked first."""

    def classify_custom_error(self, error: BaseException) -> ErrorType | None:  # noqa: ARG002 - for subclasses
        """Return the type of an error that only the subclass knows, or None."""
        return None

    def classify_error(self, error: BaseException) -> ErrorType:
        """Say which kind of failure `error` is."""
        return self.classify_custom_error(error) or classify_error(error)
