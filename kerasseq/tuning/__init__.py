"""KerasTuner sweeps over a task's own search space."""
