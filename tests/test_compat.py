"""Private names are used in one module, and still do what they are used for."""

import argparse
import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import platform
import sys
import tempfile
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kerasseq
from kerasseq import compat

ROOT = Path(__file__).parent.parent
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_exit"}  # of a NamedTuple, documented


# -- each private name still works -----------------------------------------------------------------


def autocast_scope():
    weight = keras.Variable(np.ones(2), dtype="float32")
    with compat.autocast_scope("float16"):
        assert ops.add(weight, 0).dtype == "float16"
    assert ops.add(weight, 0).dtype == "float32"


def all_layers():
    inner = keras.layers.Bidirectional(keras.layers.LSTM(2))
    model = keras.Sequential([keras.Input((3, 1)), inner])
    kinds = [type(layer).__name__ for layer in compat.all_layers(model)]
    assert kinds.count("LSTM") == 2
    assert kinds.index("Sequential") < kinds.index("Bidirectional") < kinds.index("LSTM")
    assert inner not in compat.all_layers(inner, include_self=False)


def implicit_mask():
    embedded = keras.layers.Embedding(4, 2, mask_zero=True)(np.array([[1, 0]]))
    assert np.array(compat.implicit_mask(embedded)).tolist() == [[True, False]]
    assert compat.implicit_mask(ops.ones(2)) is None


def attach_mask():
    tensor = ops.ones((1, 2, 3))
    compat.attach_mask(tensor, ops.convert_to_tensor([[True, False]]))
    masked = keras.layers.LSTM(1, return_sequences=True)(tensor)
    assert np.array(compat.implicit_mask(masked)).tolist() == [[True, False]]


def adam_moments():
    optimizer = keras.optimizers.Adam(beta_1=0.5, beta_2=0.75)
    weights = [keras.Variable(np.ones(2)), keras.Variable(np.ones(3))]
    optimizer.apply([ops.ones(2) * 2, ops.ones(3) * 4], weights)
    mean, square = compat.adam_moments(optimizer, weights[1])
    assert np.allclose(mean, [2, 2, 2])
    assert np.allclose(square, [4, 4, 4])


def leave_gradients_as_they_are():
    """Keras' optimisers sum by this name, and what is put there is called instead."""
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        weight, optimizer = keras.Variable(np.zeros(1)), keras.optimizers.SGD(1.0)
        optimizer.build([weight])
    assert inspect.ismethod(optimizer._all_reduce_sum_gradients)
    compat.leave_gradients_as_they_are(optimizer)
    left, calls = optimizer._all_reduce_sum_gradients, []
    pairs = [(tf.ones(1), weight)]
    assert left(pairs) is pairs
    optimizer._all_reduce_sum_gradients = lambda pairs: calls.append(pairs) or left(pairs)
    optimizer.apply([tf.ones(1)], [weight])
    assert len(calls) == 1
    assert np.allclose(weight, -1)


def is_core_op():
    assert compat.is_core_op("MatMul")
    assert not compat.is_core_op("SentencepieceOp")


def read_saved_model():
    module = tf.Module()
    module.double = tf.function(lambda x: 2 * x, [tf.TensorSpec([], tf.float32, "x")])
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.double)
        (graph,) = compat.read_saved_model(Path(folder) / "saved_model.pb")
    kinds = {node.op for function in graph.graph_def.library.function for node in function.node_def}
    assert "Mul" in kinds
    assert "serving_default" in graph.signature_def


def grid(folder):
    parameters = keras_tuner.HyperParameters()
    parameters.Choice("units", [1, 2, 3])
    oracle = keras_tuner.oracles.GridSearchOracle(
        objective=keras_tuner.Objective("loss", "min"), max_trials=9, hyperparameters=parameters
    )
    oracle.verbose = 0
    compat.place_oracle(oracle, folder)
    return oracle


def reseed_oracle():
    with tempfile.TemporaryDirectory() as folder:
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(
            "val_loss", max_trials=2, seed=5, hyperparameters=grid(folder).hyperparameters
        )
        assert {"_seed_state", "_random_state"} <= vars(oracle).keys()
        compat.reseed_oracle(oracle, 3)
        assert oracle._random_state.uniform() == np.random.RandomState(3).uniform()
        assert oracle._seed_state == 3


def place_oracle():
    with tempfile.TemporaryDirectory() as folder:
        trial = grid(folder).create_trial("one")
        assert list(Path(folder).rglob(f"*{trial.trial_id}*"))


def ask_without_waiting():
    with tempfile.TemporaryDirectory() as folder:
        oracle = grid(folder)
        first = oracle.create_trial("one")
        compat.ask_without_waiting(oracle, first.trial_id)
        second = oracle.create_trial("two")
        assert second.status == "RUNNING"
        found = [trial.hyperparameters.values["units"] for trial in (first, second)]
        assert found == [1, 2]
        assert oracle.create_trial("three").status == "IDLE"  # without it a grid waits


def parser_actions():
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", help="how many")
    (action,) = (a for a in compat.parser_actions(parser) if a.dest == "units")
    assert action.option_strings == ["--units"]
    action.help = "this many"
    assert "this many" in parser.format_help()


CANARIES = {name: globals()[name] for name in compat.PRIVATE_NAMES}


def try_canary(name):
    entry = compat.PRIVATE_NAMES[name]
    try:
        CANARIES[name]()
    except Exception as error:
        here = entry.library == "Python"
        installed = platform.python_version() if here else importlib.metadata.version(entry.library)
        raise AssertionError(
            f"{entry.name} is gone or changed in {entry.library} {installed}; it worked in "
            f"{entry.version}. It is used for: {entry.why}. Mend kerasseq.compat.{name}."
        ) from error


@pytest.mark.parametrize("name", compat.PRIVATE_NAMES)
def test_a_private_name_does_what_it_is_used_for(name):
    try_canary(name)


def test_a_canary_says_what_broke_and_since_when(monkeypatch):
    monkeypatch.delattr(keras.layers.Layer, "_flatten_layers")
    with pytest.raises(AssertionError) as broken:
        try_canary("all_layers")
    said = str(broken.value)
    assert f"Layer._flatten_layers is gone or changed in keras {keras.__version__}" in said
    assert "it worked in 3.15.1" in said
    assert "kerasseq.compat.all_layers" in said


def test_each_function_has_its_row():
    functions = inspect.getmembers(compat, inspect.isfunction)
    own = {name for name, found in functions if found.__module__ == compat.__name__}
    assert own == set(compat.PRIVATE_NAMES)


# -- and none is used elsewhere --------------------------------------------------------------------


def sources():
    for folder in ("kerasseq", "tasks", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def defined(tree):
    """Names that a module gives to something, attributes of its classes among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        ):
            yield node.attr


def private(name):
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def foreign_uses(tree, own):
    """Lines that use a private name which is not this project's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in own:
            yield node.lineno, node.attr
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in INNER:
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Constant) and node.value in FOREIGN:
            yield node.lineno, node.value  # getattr(tensor, "_keras_mask")
        elif isinstance(node, ast.Call) and names_private(node, own):
            yield node.lineno, node.args[1].value
        elif isinstance(node, ast.Import | ast.ImportFrom):
            origin = getattr(node, "module", None)
            names = [f"{origin}.{a.name}" if origin else a.name for a in node.names]
            for name in names:
                first, *rest = name.split(".")
                inner = {"src", "python", "core", "engine"} & set(rest)
                if first != "kerasseq" and (inner or any(map(private, rest))):
                    yield node.lineno, name


def names_private(call, own):
    """Whether a call is ``getattr(something, "_name")`` of what is not this project's."""
    if getattr(call.func, "id", "") not in ("getattr", "setattr", "hasattr", "delattr"):
        return False
    name = getattr(call.args[1], "value", None) if len(call.args) > 1 else None
    return isinstance(name, str) and private(name) and name not in own | FOREIGN


INNER = {"keras.src", "tf.python", "tf.core", "tf.__internal__", "keras_tuner.src"}
FOREIGN = {
    part.strip(" .").split(".")[-1]
    for e in compat.PRIVATE_NAMES.values()
    for part in e.name.split(",")
}  # fmt: skip


def test_no_private_name_of_a_library_is_used_elsewhere():
    trees = dict(sources())
    own = {name for tree in trees.values() for name in defined(tree)} - FOREIGN
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, tree in trees.items()
        if path.name != "compat.py"
        for line, name in foreign_uses(tree, own)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("model._flatten_layers()", "_flatten_layers"),
        ("from keras.src import backend", "keras.src.backend"),
        ("import tensorflow.python.framework as f", "tensorflow.python.framework"),
        ("getattr(x, '_keras_mask', None)", "_keras_mask"),
        ("optimizer._all_reduce_sum_gradients = None", "_all_reduce_sum_gradients"),
        ("from ray._private import worker", "ray._private.worker"),
        ("backend = keras.src.backend", "keras.src"),
        ("tf.__internal__.distribute", "tf.__internal__"),
        ("getattr(parser, '_check_value')", "_check_value"),
    ],
)
def test_the_search_finds_them(line, name):
    assert [found for _, found in foreign_uses(ast.parse(line), {"_own"})] == [name]


def test_no_private_method_of_a_library_is_overridden():
    found = []
    for module in pkgutil.walk_packages(kerasseq.__path__, "kerasseq."):
        if module.name.endswith(("__main__", ".client")) or ".runtimes." in module.name:
            continue
        loaded = importlib.import_module(module.name)
        for kind in vars(loaded).values():
            if not inspect.isclass(kind) or kind.__module__ != module.name:
                continue
            for base in kind.__mro__[1:]:
                library = base.__module__.partition(".")[0]
                if library not in {"kerasseq", *sys.stdlib_module_names}:
                    taken = filter(private, set(vars(kind)) & set(vars(base)))
                    found += [f"{kind.__qualname__}.{name} of {base.__module__}" for name in taken]
    assert found == []
