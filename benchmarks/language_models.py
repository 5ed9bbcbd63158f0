"""Language models: quality on the standard texts, and training speed beside PyTorch.

    KERASSEQ_DATA=... python -m benchmarks.language_models FIGURE

with one of ptb, wikitext2, memory, shakespeare, shakespeare-cache (after that), gutenberg, speed.
The last two run PyTorch's side with the interpreter that TORCH_PYTHON names.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import data_folder, record
from benchmarks.trained import RUNS, train
from kerasseq.training.memory import peak_memory_mib
from kerasseq.training.run_folder import RunFolder

TASK = "language_model"

TINYSHAKESPEARE = "lm/tinyshakespeare/input.txt.gz"
LAST_TENTH = "last 10 % (111,540 characters)"
CACHE = "20000"


def keep(
    name: str, result: dict[str, Any], split: str, source: str, metric: str, key: str, **more: Any
) -> None:
    """Records one figure of a run: ``key`` of its report."""
    record(
        name,
        metric=metric,
        split=split,
        values=[result["test"][key]],
        seconds=[result["training"]["seconds"]],
        reference={
            "validation": result["training"]["validation"],
            "tokens scored": result["test"]["tokens"],
            "training tokens a second": result["training"]["tokens_per_second"],
            "peak memory, MiB": result["training"]["peak_memory_mib"],
            "curve: epoch, seconds, validation loss": curve(result),
            **more,
        },
        settings={**result["settings"], "data": source},
    )


def curve(result: dict[str, Any]) -> list[list[float]]:
    """The learning curve of a run."""
    return [[row["epoch"], row["seconds"], row["validation_loss"]] for row in result["history"]]


def ptb() -> None:
    """Penn Treebank words, test perplexity."""
    source = "lm/ptb"
    result, _ = train(TASK, "ptb-word", "--recipe", "ptb")
    keep(
        "ptb-word", result, "test (82,430 tokens, one stream, line ends counted)", source,
        "perplexity", "perplexity",
        published={"Zaremba et al. 2014, 2x650": 82.7, "2x1500": 78.4,
                   "PyTorch word_language_model, tied 650, 40 epochs": 75.96},
    )  # fmt: skip


def wikitext2() -> None:
    """WikiText-2 words, perplexity on the validation split (its test split is not at hand)."""
    source = "lm/wikitext-2"
    result, _ = train(TASK, "wikitext2-word", "--recipe", "wikitext2")
    keep(
        "wikitext2-word", result, "valid (217,646 tokens, one stream)", source, "perplexity",
        "perplexity", published={"tied LSTM 200, 650, 1500": [107.6, 91.0, 86.5]},
    )  # fmt: skip


def memory(seconds: float) -> None:
    """Largest resident set of training with the full softmax over WikiText-2's vocabulary.

    The run is stopped after some time, when it has trained and validated for a while.
    """
    source = "lm/wikitext-2"
    run = RunFolder(RUNS / "wikitext2-memory")
    if run.path.exists():
        sys.exit(f"{run.path} exists: remove it to measure again")
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", f"tasks.{TASK}", "train", "--run", str(run.path), "--only-train",
         "--recipe", "wikitext2-full-softmax"]
    )  # fmt: skip
    try:
        process.wait(seconds)
        sys.exit(f"training ended by itself within {seconds} s")
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
    seconds = time.perf_counter() - start
    history = run.history()
    if len(history) < 2:
        sys.exit(f"training was not validated twice within {seconds:.0f} s")
    settings = run.record(TASK)["settings"]
    size = run.need_json("data.json")["vocabulary"]
    tokens = settings["streams"]["size"] * settings["streams"]["length"]
    record(
        "wikitext2-memory",
        metric="largest resident set of the training process, MiB",
        split=f"train, full softmax over {size:,} ids",
        values=[peak_memory_mib(of_children=True)],
        seconds=[round(seconds, 1)],
        reference={
            "steps": history[-1]["step"],
            "validations": len(history),
            "the scores of one batch alone would be, MiB": round(tokens * size * 4 / 2**20),
        },
        settings={**settings, "data": source},
    )


def shakespeare() -> None:
    """tinyshakespeare characters, the last 10 %."""
    result, _ = train(TASK, "tinyshakespeare-char", "--recipe", "tinyshakespeare")
    keep(
        "tinyshakespeare-char", result, LAST_TENTH, TINYSHAKESPEARE, "nats per character",
        "nats_per_token",
        published={"nanoGPT, CPU setting": 1.88, "nanoGPT, GPU": 1.47},
    )  # fmt: skip


def shakespeare_cache() -> None:
    """The same model with a neural cache, whose size was chosen on validation too."""
    start = time.perf_counter()
    run = RunFolder(RUNS / "tinyshakespeare-char")
    subprocess.run(
        [sys.executable, "-m", f"tasks.{TASK}", "cache", "--run", str(run.path), "--size", CACHE],
        check=True,
    )
    report = run.need_json("evaluation/test-cache.json")
    record(
        "tinyshakespeare-char-cache",
        metric="nats per character, with a neural cache",
        split=LAST_TENTH,
        values=[report["nats_per_token_with_cache"]],
        seconds=[round(time.perf_counter() - start, 1)],
        reference=report,
        settings={**run.record(TASK)["settings"], "data": TINYSHAKESPEARE},
    )


def gutenberg(torch_steps: int) -> None:
    """The Mysterious Island by characters, beside the textbook's LSTM-512 on the same text."""
    from kerasseq.tasks.language_model.reading import read_path

    source = data_folder() / "lm/gutenberg_1268/1268-0.txt.gz"
    book = "".join(read_path(source, "utf-8").splits["all"])
    RUNS.mkdir(parents=True, exist_ok=True)
    path = RUNS / "gutenberg1268.txt"
    path.write_text(book, encoding="utf-8")
    # what is read twice must not be cut twice
    if "".join(read_path(path, "utf-8").splits["all"]) != book:
        sys.exit("the book changes when it is read again")
    words = ["--recipe", "mysterious-island", "--data", str(path)]
    result, _ = train(TASK, "gutenberg1268-char", *words)
    ours = result["training"]["validation"]["loss"]
    theirs = torch(
        "torch_char_lm", "--text", str(path), "--steps", str(torch_steps),
        "--evaluate-every", "500",
    )  # fmt: skip
    best = min(theirs, key=lambda row: row["valid_loss"])
    seconds = result["training"]["seconds"]
    split = "validation (5 % before the last 10 %)"
    settings = {**result["settings"], "data": "lm/gutenberg_1268", "torch_steps": torch_steps}
    record(
        "gutenberg1268-char",
        metric="nats per character",
        split=split,
        values=[round(ours, 4)],
        seconds=[seconds],
        reference={
            "test": result["test"]["nats_per_token"],
            "curve: epoch, seconds, validation loss": curve(result),
            "textbook's LSTM-512, best of its validations": best,
            "textbook's last": theirs[-1],
            "textbook's at our time": max(
                (row for row in theirs if row["seconds"] <= seconds),
                key=lambda row: row["seconds"], default=theirs[0],
            ),
        },
        settings=settings,
    )  # fmt: skip
    reached = next((s for _, s, loss in curve(result) if loss <= best["valid_loss"]), None)
    if reached is None:
        sys.exit(f"the textbook's {best['valid_loss']} was not reached")
    record(
        "gutenberg1268-time-to-textbook",
        metric="seconds to the textbook's best validation loss, the textbook's model's over ours",
        split=split,
        values=[round(best["seconds"] / reached, 2)],
        seconds=[reached],
        reference={"textbook's LSTM-512, best of its validations": best},
        settings=settings,
    )


def speed(most: float) -> None:
    """Time to the same validation perplexity, the same model in PyTorch after it.

    Args:
        most: how many times our time PyTorch has at most.
    """
    source = data_folder() / "lm/ptb"
    result, _ = train(TASK, "lm-speed", "--recipe", "ptb-one-epoch", "--only-train")
    wanted = result["training"]["validation"]["perplexity"]
    seconds = result["training"]["seconds"]
    theirs = torch(
        "torch_word_lm", "--data", str(source), "--until", str(wanted),
        "--seconds", str(most * seconds), "--evaluate-every-batches", "332",
    )  # fmt: skip
    last = theirs[-1]
    reached = last["valid_ppl"] <= wanted
    record(
        "lm-speed-vs-pytorch",
        metric="training time to equal validation perplexity, PyTorch's over ours"
        + ("" if reached else " (a lower bound: PyTorch did not get there)"),
        split="validation",
        values=[round(last["seconds"] / seconds, 3)],
        seconds=[seconds],
        reference={
            "perplexity": wanted,
            "PyTorch's recipe": "pytorch/examples word_language_model: SGD 20, divided by 4 where "
            "validation gets worse, dropout 0.5, float32",
            "curve: epoch, seconds, validation loss": curve(result),
            "PyTorch": [{k: row[k] for k in ("epoch", "seconds", "valid_ppl")} for row in theirs],
            "tokens a second": {
                "kerasseq": result["training"]["tokens_per_second"],
                "PyTorch": last["tokens_per_second"],
            },
        },
        settings={**result["settings"], "data": "lm/ptb"},
    )


def torch(script: str, *words: str) -> list[dict[str, Any]]:
    """What a PyTorch script of this folder prints, a JSON object a line."""
    python = os.environ.get("TORCH_PYTHON")
    if not python:
        sys.exit("set TORCH_PYTHON to an interpreter that has PyTorch")
    path = Path(__file__).parent / f"{script}.py"
    done = subprocess.run(
        [python, str(path), *words], check=True, stdout=subprocess.PIPE, text=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    plain = {
        "ptb": ptb,
        "wikitext2": wikitext2,
        "shakespeare": shakespeare,
        "shakespeare-cache": shakespeare_cache,
    }
    parser.add_argument("what", choices=(*plain, "memory", "gutenberg", "speed"))
    parser.add_argument("--torch-steps", type=int, default=5000, help="of the textbook's model")
    parser.add_argument(
        "--torch-time", type=float, default=4.0, help="most time of PyTorch's word model over ours"
    )
    options = parser.parse_args()
    if options.what == "gutenberg":
        gutenberg(options.torch_steps)
    elif options.what == "memory":
        memory(seconds=400)
    elif options.what == "speed":
        speed(options.torch_time)
    else:
        plain[options.what]()


if __name__ == "__main__":
    main()
