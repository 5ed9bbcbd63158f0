"""kerasseq: recurrent sequence models for text on Keras 3 / TensorFlow."""

__version__ = "0.1.0"
