"""The tasks of the suite; each is a module to run, as in ``python -m tasks.sentiment``."""
