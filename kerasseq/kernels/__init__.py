"""Backend-specific fast paths that a layer may pick; none is imported until one is picked."""
