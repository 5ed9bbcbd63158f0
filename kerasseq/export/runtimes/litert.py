"""The functions of ``model.tflite``, by name. Needs the packages ai-edge-litert and numpy."""

from pathlib import Path

from ai_edge_litert.interpreter import Interpreter

_model = Interpreter(str(Path(__file__).with_name("model.tflite")))
_functions = {}


def run(name, **inputs):
    """Outputs of a function by name; inputs and outputs are NumPy arrays."""
    if name not in _functions:
        _functions[name] = _model.get_signature_runner(name)
    return _functions[name](**inputs)
