"""The package of the Lambda function: what goes into it, what is left out, and the zip that holds it."""
