"""The tasks of the suite as modules to run, from a checkout: ``python -m tasks.sentiment``."""
