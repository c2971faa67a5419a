"""The Lambda handler, its processor and its configuration. `python main_etl_processor.py` runs a sample end to end."""

from flight_etl.runners.aws_lambda import ETLConfig, OptimizedETLProcessor, lambda_handler, main

__all__ = ["ETLConfig", "OptimizedETLProcessor", "lambda_handler"]

if __name__ == "__main__":
    main()
