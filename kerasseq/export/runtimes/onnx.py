"""The functions of the ``.onnx`` files, by name. Needs the packages onnxruntime and numpy."""

from pathlib import Path

from onnxruntime import InferenceSession

_functions = {}


def run(name, **inputs):
    """Outputs of a function by name; inputs and outputs are NumPy arrays."""
    if name not in _functions:
        path = Path(__file__).with_name(f"{name}.onnx")
        _functions[name] = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in _functions[name].get_outputs()]
    return dict(zip(names, _functions[name].run(None, inputs)))
