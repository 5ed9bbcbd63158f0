"""Figures that the reports of several tasks have."""
