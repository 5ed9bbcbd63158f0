"""Translation: quality on Multi30k and the embedded verses, and speed beside PyTorch and JoeyNMT.

    KERASSEQ_DATA=... python -m benchmarks.translation FIGURE

with one of en-de, de-en, gain (after de-en), bible, speed, beam (after en-de), check. For speed and
check PyTorch's side runs with the interpreter that TORCH_PYTHON names, for beam JoeyNMT's with that
of JOEY_PYTHON (benchmarks/joey_translation.py says what that needs). check measures nothing: it
makes sure that the model in PyTorch is the same function.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.language_models import curve
from benchmarks.record import record
from benchmarks.trained import RUNS, train
from benchmarks.turns import Worker, serve, speed_ratio, take_turns
from kerasseq.training.run_folder import RunFolder

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TASK = "translation"
SOURCE = "translation/multi30k"
TEST = "test_2016_flickr"
METRIC = "BLEU (sacrebleu, detokenised, with case)"

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
# of other scripts, on lower-cased tokens
PUBLISHED = {
    "de": {"text-only attention GRU, on a GPU": 38.1},
    "en": {"tutorials: LSTM, GRU, GRU with additive attention": [13.8, 20.6, 28.3]},
}


# -- quality ---------------------------------------------------------------------------------------


def keep(name: str, result: dict[str, Any], split: str, source: str, **more: Any) -> None:
    """Records the BLEU of a run."""
    test, training = result["test"], result["training"]
    record(
        name,
        metric=METRIC,
        split=split,
        values=[test["bleu"]["score"]],
        seconds=[training["seconds"]],
        reference={**measured(test), **of_training(result), **more},
        settings={**result["settings"], "data": source},
    )


def measured(test: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a run's report beside its BLEU."""
    bleu, chrf = test["bleu"], test["chrf"]
    return {
        "signature": bleu["signature"],
        "95 % interval over sentences": bleu["interval_95"],
        "precisions": bleu["precisions"],
        "brevity penalty": bleu["brevity_penalty"],
        "length ratio": bleu["length_ratio"],
        "chrF2": chrf["score"],
        "perplexity": test["perplexity"],
        "tokens scored": test["tokens"],
        "beam": test["beam"],
        "BLEU by words of the source": {row["words"]: row["bleu"] for row in test["by_length"]},
    }


def of_training(result: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of how a run was trained."""
    training = result["training"]
    return {
        "validation, beam 1": training["validation"],
        "parameters": training["parameters"],
        "training tokens a second": training["tokens_per_second"],
        "peak memory, MiB": training["peak_memory_mib"],
        "curve: epoch, seconds, validation loss": curve(dict(result)),
        "curve: epoch, validation BLEU": [
            [row["epoch"], row["validation_bleu"]] for row in result["history"]
        ],
    }


def multi30k(source: str, target: str) -> None:
    """Multi30k in one direction, test_2016_flickr."""
    name = f"multi30k-{source}-{target}"
    result, _ = train(TASK, name, "--recipe", name)
    split = f"{TEST} ({result['test']['sentences']:,} sentences)"
    keep(name, result, split, SOURCE, published=PUBLISHED[target])


def gain() -> None:
    """What attention is worth: German to English with it and without, paired."""
    from kerasseq.tasks.translation.comparison import compare

    with_attention, report = finished("multi30k-de-en")
    without, _ = train(TASK, "multi30k-de-en-none", "--recipe", "multi30k-de-en-no-attention")
    pairs = test_pairs(with_attention)
    sources, references = [p.source for p in pairs], [p.target for p in pairs]
    seed = with_attention.seed
    texts = without["test"]["translations"], report["translations"]
    found = compare(*texts, references, sources, "en", seed)
    record(
        "multi30k-attention-gain",
        metric="BLEU with attention less BLEU without (sacrebleu, paired bootstrap)",
        split=f"{TEST}, German to English",
        values=[found["bleu"]["difference"]],
        seconds=[without["training"]["seconds"]],
        reference={
            "p": found["bleu"]["p"],
            "signature": found["bleu"]["signature"],
            "with attention": {"BLEU": found["bleu"]["second"]["score"], **measured(report)},
            "without": {"BLEU": found["bleu"]["first"]["score"], **measured(without["test"])},
            "chrF2": {k: v for k, v in found["chrf"].items() if k in ("difference", "p")},
            **of_training(without),
        },
        settings={**without["settings"], "data": SOURCE},
    )


def bible() -> None:
    """The embedded verses, English to Spanish."""
    result, _ = train(TASK, "bible-en-es", "--recipe", "verses")
    count = result["test"]["sentences"]
    keep("bible-en-es", result, f"test ({count:,} verses, by chapter)", "embedded")


def finished(name: str) -> tuple[Any, dict[str, Any]]:
    """Settings and test report of a run that was measured before."""
    from kerasseq.config import from_dict
    from kerasseq.tasks.translation.settings import TranslationSettings

    run = RunFolder(RUNS / name)
    report = run.read_json("evaluation/test.json")
    if report is None:
        figure = name.removeprefix("multi30k-")
        sys.exit(f"{run.path} is needed: python -m benchmarks.translation {figure} comes first")
    return from_dict(TranslationSettings, run.record(TASK)["settings"]), report


def test_pairs(settings: Any) -> list[Any]:
    """The sentences of a run's test split."""
    from kerasseq.app.runs import read_data
    from kerasseq.tasks.translation.task import Translation

    return read_data(Translation(), settings, False).splits["test"].pairs


# -- what PyTorch's side is given ------------------------------------------------------------------


def torch_weights(model: Any) -> dict[str, np.ndarray]:
    """A model's weights by the names and in the layout of benchmarks/torch_translation.py."""

    def linear(name: str, layer: Any) -> dict[str, Any]:
        return {f"{name}.weight": layer.kernel.numpy().T, f"{name}.bias": layer.bias.numpy()}

    def cell(prefix: str, suffix: str, layer: Any) -> dict[str, Any]:
        bias = layer.bias.numpy()  # in PyTorch there are two, which are added
        return {
            f"{prefix}weight_ih{suffix}": layer.kernel.numpy().T,
            f"{prefix}weight_hh{suffix}": layer.recurrent_kernel.numpy().T,
            f"{prefix}bias_ih{suffix}": bias,
            f"{prefix}bias_hh{suffix}": np.zeros_like(bias),
        }

    decoder, embedding = model.decoder, model.embedding
    attention, bridges = decoder.attention, decoder.bridge.layers
    weights = {
        "embedding.weight": embedding.embeddings.numpy(),
        "output_bias": embedding.bias.numpy(),
        **cell("encoder.", "_l0", model.encoder.cells[0]),
        **cell("encoder.", "_l0_reverse", model.encoder.cells[1]),
        **cell("decoder.", "", decoder.recurrent.cells[0]),
        **linear("combine", decoder.combine),
        "bridge.weight": np.concatenate([layer.kernel.numpy().T for layer in bridges]),
        "bridge.bias": np.concatenate([layer.bias.numpy() for layer in bridges]),
    }
    if embedding.projection is not None:
        weights["projection.weight"] = embedding.projection.numpy().T
    kind = model.get_config()["attention"]
    if kind == "additive":
        weights["attention.keys.weight"] = attention.key_kernel.numpy().T
        weights["attention.keys.bias"] = attention.bias.numpy()
        weights["attention.query.weight"] = attention.query_kernel.numpy().T
        weights["attention.score.weight"] = attention.score_kernel.numpy().T
    elif kind == "bilinear":
        weights["attention.keys.weight"] = attention.kernel.numpy().T
    return {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}


def sizes_of(model: Any, **more: Any) -> dict[str, Any]:
    """What the other side is told of a model; it must be of the kind that it can be."""
    config = model.get_config()
    wanted = {
        "cell": "lstm", "encoder_layers": 1, "decoder_layers": 1, "attend": "after",
        "input_feeding": True, "tie_source": True,
    }  # fmt: skip
    differing = {name: config[name] for name, value in wanted.items() if config[name] != value}
    if differing or config["attention"] not in ("additive", "bilinear", "dot"):
        sys.exit(f"no such model in PyTorch: attention {config['attention']}, {differing}")
    names = (
        "units", "encoder_units", "attention", "input_dropout", "encoder_dropout",
        "decoder_dropout", "label_smoothing", "input_only",
    )  # fmt: skip
    return {
        "vocabulary": config["target_size"],
        "embedding": config["embedding_dim"],
        **{name: config[name] for name in names},
        **more,
    }


def write(path: Path, sizes: dict[str, Any], arrays: dict[str, np.ndarray], weights: Any) -> None:
    """One file for both sides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named = {f"weights/{name}": array for name, array in weights.items()}
    np.savez(path, sizes=np.array(json.dumps(sizes)), **arrays, **named)


def read_batches(path: Path) -> tuple[dict[str, Any], list[dict[str, np.ndarray]]]:
    """Sizes and batches of a file."""
    with np.load(path) as stored:
        sizes = json.loads(str(stored["sizes"]))
        batches = [
            {
                name.partition("/")[2]: stored[name]
                for name in stored.files
                if name.startswith(f"{i}/")
            }
            for i in range(sizes["batches"])
        ]
    return sizes, batches


def numbered(batches: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of some batches, as :func:`write` takes them."""
    return {
        f"{i}/{name}": array for i, batch in enumerate(batches) for name, array in batch.items()
    }


def translator(sizes: Mapping[str, Any]) -> Any:
    """The kerasseq model of some sizes."""
    from kerasseq.tasks.translation.model import RecurrentTranslator

    names = (
        "attention", "input_dropout", "encoder_dropout", "decoder_dropout", "label_smoothing",
        "input_only",
    )  # fmt: skip
    return RecurrentTranslator(
        sizes["vocabulary"], sizes["vocabulary"], sizes["embedding"], sizes["units"],
        sizes["encoder_units"], tie_source=True, **{name: sizes[name] for name in names},
    )  # fmt: skip


def interpreter(name: str, needs: str) -> str:
    """The Python that an environment variable names."""
    python = os.environ.get(name)
    if not python:
        sys.exit(f"set {name} to an interpreter that has {needs}")
    if subprocess.run([python, "-c", f"import {needs}"], capture_output=True).returncode:
        sys.exit(f"skipped: {python} ({name}) has no {needs}")
    return python


# -- training speed --------------------------------------------------------------------------------


def speed_file(path: Path, count: int) -> dict[str, Any]:
    """Writes batches of Multi30k as training reads them, evenly spaced over an epoch.

    Args:
        path: of the file.
        count: of the batches.

    Returns:
        The settings.
    """
    from kerasseq.app.cli import settings_of
    from kerasseq.app.recipes import find_recipe
    from kerasseq.app.runs import read_data
    from kerasseq.tasks.translation.task import Translation

    task = Translation()
    settings = settings_of(task, find_recipe("multi30k-en-de").changes())
    data = read_data(task, settings, False)
    batches = task.batches(settings, data)
    items = batches.epoch(0)
    chosen = np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)
    sizes = sizes_of(
        task.build_model(settings, data.assets),
        batches=len(chosen),
        learning_rate=settings.training.learning_rate,
        clip_norm=settings.training.clip_norm,
    )
    write(path, sizes, numbered([batches.fetch(items[i]) for i in chosen]), {})
    return settings.to_dict()


def speed(count: int, repeats: int, seconds: float) -> None:
    """Training tokens a second beside PyTorch, same batches and sizes, in either precision."""
    python = interpreter("TORCH_PYTHON", "torch")
    path = RUNS / "translation-speed.npz"
    settings = speed_file(path, count)
    for precision in PRECISIONS:
        spec = f"{path.resolve()},{precision}"
        workers = {
            "kerasseq": Worker(sys.executable, "benchmarks.translation", spec),
            "PyTorch": Worker(python, "benchmarks.torch_translation", spec),
        }
        found = take_turns(workers, ["train"], repeats, seconds)
        ours, theirs = found["kerasseq"]["train"], found["PyTorch"]["train"]
        tokens = found["kerasseq"]["tokens"]
        assert tokens == found["PyTorch"]["tokens"]
        end = "" if precision == "float32" else f"-{precision}"
        record(
            f"translation-speed-vs-pytorch{end}",
            metric="training tokens a second, ours over PyTorch's, median of the turns' ratios",
            split=f"{count} training batches of Multi30k, English to German, {precision}",
            values=[speed_ratio(ours, theirs)],
            seconds=[round(statistics.median(ours), 3)],
            reference={
                "target tokens a second": {
                    name: round(tokens / statistics.median(part["train"]))
                    for name, part in found.items()
                },
                "target tokens, padding not counted": tokens,
                "seconds, each turn": {
                    name: [round(s, 3) for s in part["train"]] for name, part in found.items()
                },
                "memory that training adds, MiB": {
                    name: round(part["memory_mib"]) for name, part in found.items()
                },
                "PyTorch": found["PyTorch"]["plan"],
            },
            settings={**settings, "data": SOURCE, "batches_timed": count, "repeats": repeats},
        )


def train_worker(spec: str) -> None:
    """Our contestant: a step on each batch, as kerasseq.training.update does it (neither side
    averages the weights)."""
    path, precision = spec.rsplit(",", 1)
    import tensorflow as tf

    from kerasseq.tasks.translation.loss import TranslationLoss
    from kerasseq.training import devices
    from kerasseq.training.optimizers import clipped, make_optimizer, merged
    from kerasseq.training.settings import TrainingSettings

    asked = devices.DeviceSettings(precision=PRECISIONS[precision])  # type: ignore[arg-type]
    devices.apply(devices.plan(devices.detect(), asked))
    sizes, arrays = read_batches(Path(path))
    batches = [{k: tf.constant(v) for k, v in batch.items()} for batch in arrays]
    model, loss = translator(sizes), TranslationLoss()
    optimizer = make_optimizer(TrainingSettings(learning_rate=sizes["learning_rate"]))
    optimizer.build(model.trainable_variables)
    signature = {
        name: tf.TensorSpec([None] * array.ndim, array.dtype) for name, array in arrays[0].items()
    }

    @tf.function(input_signature=[signature])
    def step(batch: Any) -> Any:
        with tf.GradientTape() as tape:
            total, weight = loss(model, batch)
            mean = total / weight
        found = tape.gradient(mean, [v.value for v in model.trainable_variables])
        gradients = clipped([merged(g, sparse=True) for g in found], sizes["clip_norm"])
        optimizer.apply(gradients, model.trainable_variables)
        return total

    def run() -> float:
        return sum(float(step(batch)) for batch in batches)

    tokens = int(sum(batch["weights"].sum() for batch in arrays))
    serve({"train": run}, tokens=tokens, plan=f"tensorflow {tf.__version__}")


# -- the same function -----------------------------------------------------------------------------


def check(tolerance: float = 1e-4) -> None:
    """Compares the losses of kerasseq's model and of PyTorch's with its weights, no dropout."""
    python = interpreter("TORCH_PYTHON", "torch")
    import keras

    from kerasseq.tasks.translation.data import batch_of
    from kerasseq.tasks.translation.loss import TranslationLoss

    random = np.random.default_rng(1)

    def sentences(longest: int) -> list[np.ndarray]:
        return [random.integers(3, 50, n).astype(np.int32) for n in random.integers(1, longest, 6)]

    batches = [batch_of(sentences(12), sentences(14), multiple=4) for _ in range(2)]
    path = RUNS / "translation-check.npz"
    worst = 0.0
    for kind, units in (("additive", 24), ("bilinear", 24), ("dot", 16), ("additive", 12)):
        keras.utils.set_random_seed(1)
        sizes = {
            "vocabulary": 50, "embedding": 12, "units": units, "encoder_units": 8,
            "attention": kind, "input_dropout": 0.0, "encoder_dropout": 0.0,
            "decoder_dropout": 0.0, "label_smoothing": 0.1, "input_only": [0, 2],
        }  # fmt: skip
        model = translator(sizes)
        for variable in model.trainable_variables:  # larger than at the start, biases too
            variable.assign(random.normal(0, 0.5, variable.shape))
        more = {"batches": len(batches), "learning_rate": 1e-3, "clip_norm": 1.0}
        write(path, sizes_of(model, **more), numbered(batches), torch_weights(model))
        done = subprocess.run(
            [python, "-m", "benchmarks.torch_translation", "--batches", str(path), "--loss"],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        theirs = [json.loads(line)["loss"] for line in done.stdout.splitlines()]
        loss = TranslationLoss()
        ours = [float(total / weight) for total, weight in (loss(model, b) for b in batches)]
        difference = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        worst = max(worst, difference)
        print(f"{kind}, {units} units: ours {ours}, PyTorch's {theirs}, off by {difference:.1e}")
    if worst > tolerance:
        sys.exit(f"the losses differ by {worst:.1e}")
    print(f"the same function: losses within {worst:.1e}")


# -- beam search -----------------------------------------------------------------------------------


def beam(name: str, sizes: Sequence[int], repeats: int, seconds: float) -> None:
    """Sentences a second of the exported model beside JoeyNMT's with the same weights.

    Args:
        name: of the run.
        sizes: sentences in a batch; of each side the one counts that suits it best.
        repeats, seconds: of the turns.
    """
    python = interpreter("JOEY_PYTHON", "joeynmt")
    from kerasseq.export.versions import versions_in
    from kerasseq.tasks.translation.comparison import compare
    from kerasseq.tasks.translation.scores import bleu

    settings, _ = finished(name)
    saved = RUNS / "saved_models" / name
    if not saved.is_dir() or not versions_in(saved):
        sys.exit(f"{saved} holds no export: python -m benchmarks.translation en-de writes one")
    version = saved / str(max(versions_in(saved)))
    path = RUNS / f"{name}-beam.npz"
    sources, references, codec = beam_file(path, name, settings)
    tasks = [str(size) for size in sizes]
    workers = {
        "kerasseq": Worker(
            sys.executable, "benchmarks.translation",
            ",".join(["beam", str(path.resolve()), str(version.resolve()), *tasks]),
        ),
        "JoeyNMT": Worker(
            python, "benchmarks.joey_translation", ",".join([str(path.resolve()), *tasks])
        ),
    }  # fmt: skip
    texts = {
        "kerasseq": workers["kerasseq"].about.pop("outputs"),
        "JoeyNMT": [codec.decode(ids) for ids in workers["JoeyNMT"].about.pop("outputs")],
    }
    found = take_turns(workers, tasks, repeats, seconds)
    best = {}
    for side, part in found.items():
        best[side] = min(tasks, key={task: statistics.median(part[task]) for task in tasks}.get)
    language, count = settings.target, len(sources)
    ours = found["kerasseq"][best["kerasseq"]]
    theirs = found["JoeyNMT"][best["JoeyNMT"]]
    compared = compare(
        texts["JoeyNMT"], texts["kerasseq"], references, sources, language, settings.seed
    )
    record(
        "beam-speed-vs-joeynmt",
        metric=f"sentences a second, beam {settings.beam.size}: ours (texts to texts) over "
        "JoeyNMT's (ids to ids), each with its best batch size, median of the turns' ratios",
        split=f"{TEST} ({count:,} sentences), English to German",
        values=[speed_ratio(ours, theirs)],
        seconds=[round(statistics.median(ours), 3)],
        reference={
            "sentences a second, by sentences in a batch": {
                side: {task: round(count / statistics.median(part[task]), 2) for task in tasks}
                for side, part in found.items()
            },
            "best batch": best,
            "seconds, each turn": {
                side: {task: [round(s, 3) for s in part[task]] for task in tasks}
                for side, part in found.items()
            },
            "BLEU": {side: bleu(part, references, language) for side, part in texts.items()},
            "p of the difference": compared["bleu"]["p"],
            "equal translations": round(
                float(np.mean([a == b for a, b in zip(*texts.values(), strict=True)])), 4
            ),
            "words": {side: sum(len(t.split()) for t in part) for side, part in texts.items()},
            "memory, MiB": {side: round(part["memory_mib"]) for side, part in found.items()},
            "method": "JoeyNMT computes the same function with the same trained weights, so both "
            "searches end where they end by themselves (benchmarks/joey_translation.py)",
        },
        settings={**settings.to_dict(), "data": SOURCE, "run": name, "batches": list(sizes)},
    )


def beam_file(path: Path, name: str, settings: Any) -> tuple[list[str], list[str], Any]:
    """Writes a run's test sentences, longest first, and its weights.

    Returns:
        Sources and references in that order, and the codec of the target.
    """
    from kerasseq.app.runs import load_run
    from kerasseq.data.batches import pad
    from kerasseq.tasks.translation.data import encode_sources
    from kerasseq.tasks.translation.task import Translation
    from kerasseq.text.vocabulary import BOS, EOS, PAD, UNK

    trained = load_run(Translation(), RUNS / name)
    model = trained.use.model
    pairs = test_pairs(settings)
    codecs = trained.assets.source_codec, trained.assets.target_codec
    ids = encode_sources([pair.source for pair in pairs], codecs[0], settings.text.max_length)
    order = np.argsort([-len(sentence) for sentence in ids], kind="stable")
    source, lengths = pad([ids[i] for i in order])
    if settings.beam.coverage_penalty:
        sys.exit("JoeyNMT has no coverage penalty")
    sizes = sizes_of(
        model,
        beam=settings.beam.size,
        alpha=settings.beam.length_penalty,
        ids={"pad": PAD, "unk": UNK, "bos": BOS, "eos": EOS},
    )
    texts = [pairs[i].source for i in order]
    arrays = {"source": source, "source_lengths": lengths, "texts": np.array(texts)}
    write(path, sizes, arrays, torch_weights(model))
    return texts, [pairs[i].target for i in order], codecs[1]


def beam_worker(spec: str) -> None:
    """Our contestant: beam,FILE,SAVED_MODEL,SIZE,SIZE,... with a task a batch size."""
    _, path, version, *sizes = spec.split(",")
    import tensorflow as tf

    with np.load(path) as stored:
        texts = stored["texts"].tolist()
    loaded = tf.saved_model.load(version)
    serve_texts = loaded.signatures["serving_default"]

    def translate(size: int) -> list[str]:
        found: list[str] = []
        for start in range(0, len(texts), size):
            answer = serve_texts(text=tf.constant(texts[start : start + size]))
            found += [text.decode() for text in answer["translation"].numpy()]
        return found

    outputs = translate(int(sizes[0]))
    tasks = {size: lambda size=size: translate(int(size)) for size in sizes}
    serve(tasks, outputs=outputs, plan=f"tensorflow {tf.__version__}")


# -- command line ----------------------------------------------------------------------------------


def main() -> None:
    """Measures one figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    figures = ("en-de", "de-en", "gain", "bible", "speed", "beam", "check")
    parser.add_argument("figure", choices=figures, nargs="?")
    parser.add_argument("--batches", type=int, default=40, help="of speed, in a turn")
    parser.add_argument(
        "--sentences", type=int, nargs="+", default=[32, 64, 128], help="of beam, in a batch"
    )
    parser.add_argument("--repeats", type=int, default=7, help="turns of speed and beam")
    parser.add_argument("--seconds", type=float, default=900, help="of these, about, at most")
    parser.add_argument("--run", default="multi30k-en-de", help="of beam")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        (beam_worker if options.worker.startswith("beam,") else train_worker)(options.worker)
    elif options.figure in ("en-de", "de-en"):
        multi30k(*options.figure.split("-"))
    elif options.figure == "speed":
        speed(options.batches, options.repeats, options.seconds)
    elif options.figure == "beam":
        beam(options.run, options.sentences, options.repeats, options.seconds)
    elif options.figure:
        {"gain": gain, "bible": bible, "check": check}[options.figure]()
    else:
        parser.error("which figure?")


if __name__ == "__main__":
    main()
