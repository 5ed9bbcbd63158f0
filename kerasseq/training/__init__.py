"""Devices, run folders, and the training loop."""
