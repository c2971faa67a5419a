"""The S3 servers, for tests of stores."""

from servers import ceph_server, moto_server, s3, s3_server  # noqa: F401 - fixtures
