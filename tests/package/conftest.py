"""The package of the Lambda function."""

from lambda_package import lambda_root  # noqa: F401 - a fixture
