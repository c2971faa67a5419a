"""The S3 server, for tests of runners."""

from servers import s3, s3_server  # noqa: F401 - fixtures
