"""Measurements; each module writes its figures to benchmarks/results/."""
