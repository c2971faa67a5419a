"""The S3 servers and the Lambda package, for tests of runners."""

from lambda_package import lambda_root  # noqa: F401 - a fixture
from servers import ceph_server, moto_server, s3, s3_server  # noqa: F401 - fixtures
