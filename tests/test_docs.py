"""The README and the pages under docs/: every command and every Python block runs.

A page's blocks run in their order, in a folder of that page, which holds small made-up data under
the names that the pages use (`write_data`). The rules:

- ``train`` and ``tune`` of every task get the settings of `SMALL` behind their own. The same goes
  for ``kerasseq.train`` and ``kerasseq.tune``.
- ``train`` exports only where the page names the export: ``saved_models/NAME``, ``models/NAME``. It
  scores the test split only where the page names the run again, or it is the task's own run.
- ``kerasseq serve`` runs in the background to the end of the page, on a port that is free.
- A block whose first line is a comment with a file's name is that file.
- ``pip install`` of a page's own package goes into the page's folder.
- A page's Python blocks share their names.
- What cannot run is in `NOT_RUN`, with the reason. It is parsed all the same.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import importlib.util
import io
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import traceback
from pathlib import Path
from typing import NamedTuple

import keras
import pytest

import kerasseq
from benchmarks.tables import command_of
from kerasseq.app import cli
from kerasseq.app.recipes import find_recipe, recipe_names
from kerasseq.app.registry import find_task, task_names
from kerasseq.errors import UserError
from tests import warm
from tests.serve.process import Process, free_port
from tests.tasks.conftest import write_reviews
from tests.tasks.language_model.conftest import write_text
from tests.tasks.tagging.conftest import as_columns, as_conllu, write_corpus
from tests.tasks.translation.conftest import pairs, write_pairs, write_table

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = {str(p.relative_to(ROOT)): p for p in (README, *sorted((ROOT / "docs").glob("*.md")))}
PORT = "127.0.0.1:8501"
DATA = "data"  # what KERASSEQ_DATA says

# what does not run -> why
NOT_RUN = {
    r"python3 -m venv": "installs packages from a registry; .ci/run does that",
    r"^(git clone|source) ": "is for a checkout of the reader's",
    r"pip install -e '": "installs packages from a registry; test_extras_exist looks at the names",
    r"python -m benchmarks\.": "measures for minutes or hours, on benchmark data",
    r"python -m tensorboard": "runs until it is stopped",
    r"--workers ": "needs Ray, which takes long to start; tests/tasks/test_tuning_trials.py has it",
    r"^TF_CONFIG=": "are two machines; tests/tasks/test_replicas.py has them",
    r"from ray\.train": "needs a Ray cluster",
}

QUICK = ["--limit=60", "--training.max_steps=3", "--model.units=8", "--model.embedding=8",
         "--device.xla=off"]  # fmt: skip
SMALL = {
    "sentiment": [*QUICK, "--text.ngram_rows=50", "--text.min_count=1"],
    "pos_tagging": [*QUICK, "--model.character_units=6", "--model.affix_embedding=8"],
    "language_model": [*QUICK, "--limit=300", "--streams.size=2", "--streams.length=8",
                       "--text.min_count=1", "--model.softmax=full"],
    "translation": [*QUICK, "--model.encoder_units=4", "--beam.size=3", "--text.max_length=20",
                    "--text.min_count=1"],
}  # fmt: skip
SMALL["ner"] = SMALL["pos_tagging"]

# python -c, to train without the export
WITHOUT_EXPORT = """
import sys
from kerasseq.app import run
run.export_run = lambda *words, **options: None
sys.argv[0] = "kerasseq"
from kerasseq.__main__ import main
main()
"""


# -- pages -----------------------------------------------------------------------------------------


class Part(NamedTuple):
    """A command, or a block of another language."""

    line: int
    kind: str
    text: str

    @property
    def not_run(self) -> str:
        """Why it does not run, if so."""
        return next((why for what, why in NOT_RUN.items() if re.search(what, self.text)), "")


def parts_of(page: str) -> list[Part]:
    """What a page's blocks hold, in order; a shell's blocks command by command."""
    found, text = [], PAGES[page].read_text(encoding="utf-8")
    for block in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, block.start(2)) + 1
        if block[1] in ("bash", "sh"):
            for command in re.findall(r"(?:.*\\\n)*.*\n", block[2]):
                if command.strip() and not command.startswith("#"):
                    found.append(Part(line, "bash", command.replace("\\\n", " ").strip()))
                line += command.count("\n")
        elif block[1] != "text":
            found.append(Part(line, block[1], block[2]))
    return found


PARTS = {page: parts_of(page) for page in PAGES}
LINES = [part.text for part in PARTS["README.md"] if part.kind == "bash"]


def stages(command: str) -> list[list[str]]:
    """The words of each program of a pipeline; what they are written to is the last one's."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|>&")
    lexer.whitespace_split = True
    made: list[list[str]] = [[]]
    for word in lexer:
        if word in ("|", "&&"):
            made.append([])
        else:
            made[-1].append(word)
    return made


def small(task: str) -> list[str]:
    return SMALL.get(task, SMALL["sentiment"])


# -- data ------------------------------------------------------------------------------------------


def as_entities(rows, number):
    return [
        f"{word} {tag} {chunk} {'B-PER' if tag == 'PRON' else 'O'}" for word, tag, chunk in rows
    ]


def as_numbered(rows, number):
    """Four columns, of which the first and the last are entities and the third is the word."""
    return [
        f"{tag} {n} {word} {tag}"
        for n, (word, kind, _) in enumerate(rows)
        for tag in ["B-PER" if kind == "PRON" else "O"]
    ]


def as_multiword(rows, number):
    return [f"{n}\t{word}\t{'1:LVC' if kind == 'VERB' else '*'}"
            for n, (word, kind, _) in enumerate(rows, start=1)]  # fmt: skip


def write_vectors(path: Path, words: set[str]) -> None:
    draw = random.Random(3)
    lines = [
        f"{word} {' '.join(f'{draw.random():.3f}' for _ in range(8))}" for word in sorted(words)
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_csv(path: Path, header: list[str], rows: list[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


def write_archive(path: Path) -> None:
    draw = random.Random(5)
    with tarfile.open(path, "w:gz") as archive:
        for number in range(80):
            split, label = ("train", "test")[number % 2], ("neg", "pos")[number // 2 % 2]
            word = {"neg": "dreadful", "pos": "superb"}[label]
            content = f"{' '.join(draw.choices(['a', 'film', 'was', 'it'], k=9))} {word} {number}"
            entry = tarfile.TarInfo(f"aclImdb/{split}/{label}/{number}_7.txt")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))


def compress(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(path.read_bytes()))


def write_data(folder: Path) -> None:
    """Every file that a page names."""
    folder.mkdir()
    for number, name in enumerate(("reviews", "january", "february")):
        write_reviews(folder / f"{name}.csv", 120, number)
    with (folder / "reviews.csv").open(encoding="utf-8", newline="") as stream:
        rows = [tuple(row.values()) for row in csv.DictReader(stream)]
    write_csv(folder / "archive.csv", ["review", "verdict"], rows)
    tickets = [(f"ticket {n}: {text}", {"yes": "billing"}.get(label, "shipping"))
               for n, (text, label) in enumerate(rows)]  # fmt: skip
    write_csv(folder / "tickets.csv", ["text", "queue"], tickets)
    films = [{"text": text, "genres": ["war"] * (n % 2) + ["drama"] * (label == "yes")}
             for n, (text, label) in enumerate(rows)]  # fmt: skip
    lines = map(json.dumps, films)
    (folder / "films.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / "reviews.txt").write_text("".join(f"{text}\n" for text, _ in rows[:20]))
    compress(folder / "reviews.csv", folder / "reviews.csv.gz")
    (folder / "archive").mkdir()
    shutil.copy(folder / "reviews.csv", folder / "archive")
    write_text(folder / "news.txt", 300)
    write_text(folder / "shakespeare.txt", 300, seed=1)
    write_archive(folder / "aclImdb_v1.tar.gz")

    write_corpus(folder / "UD_English-EWT", as_conllu, ".conllu")
    write_corpus(folder / "conll2000", as_columns, ".txt")
    write_corpus(folder / "conll2003", as_entities, ".txt")
    compress(folder / "UD_English-EWT/dev.conllu", folder / "dev.conllu.gz")
    write_corpus(folder / "mine", as_numbered, ".txt")
    shutil.copy(folder / "mine/train.txt", folder / "mine.txt")
    write_corpus(folder / "mwe", as_multiword, ".txt")
    header = "# global.columns = ID FORM PARSEME:MWE\n"
    (folder / "mwe.cupt").write_text(header + (folder / "mwe/train.txt").read_text())
    words = {word for text, _ in rows for word in text.lower().split()}
    write_vectors(folder / "glove.6B.100d.txt", words)
    spoken = (folder / "conll2003/train.txt").read_text().split()
    write_vectors(folder / "wiki.en.vec", {word.lower() for word in spoken})

    (folder / "multi30k").mkdir()
    for number, split in enumerate(("train", "val", "test_2016_flickr")):
        write_pairs(folder / "multi30k" / split, pairs(70, number), ("en", "de"))
    shutil.copy(folder / "multi30k/val.de", folder / "text.de")
    german = (folder / "text.de").read_text().splitlines()
    write_csv(folder / "german.csv", ["number", "text"], list(enumerate(german[:10])))
    write_table(folder / "pairs.tsv", pairs(90, 7))
    write_table(folder / "more.tsv", pairs(20, 8))
    write_benchmarks(folder, folder / DATA)


def write_benchmarks(folder: Path, data: Path) -> None:
    """What recipes look for in KERASSEQ_DATA."""
    for path in ("imdb", "pos/ud_french_sequoia", "translation"):
        (data / path).mkdir(parents=True)
    shutil.copy(folder / "aclImdb_v1.tar.gz", data / "imdb/aclImdb_v1_labelled.tar.gz")
    shutil.copytree(folder / "UD_English-EWT", data / "pos/ud_english_ewt")
    shutil.copytree(folder / "conll2000", data / "pos/conll2000")
    shutil.copytree(folder / "multi30k", data / "translation/multi30k")
    for split in ("train", "dev"):
        compress(folder / f"UD_English-EWT/{split}.conllu",
                 data / f"pos/ud_french_sequoia/fr_sequoia-ud-{split}.conllu.gz")  # fmt: skip
    for name in ("ptb/ptb.train.txt", "ptb/ptb.valid.txt", "ptb/ptb.test.txt",
                 "wikitext-2/wiki.train.tokens", "wikitext-2/wiki.valid.tokens",
                 "tinyshakespeare/input.txt", "gutenberg_1268/1268-0.txt"):  # fmt: skip
        compress(folder / "news.txt", data / f"lm/{name}.gz")


# -- what runs -------------------------------------------------------------------------------------


class Session:
    """A reader who follows a page in a folder of its own."""

    def __init__(self, page: str, folder: Path):
        self.page, self.folder, self.names = page, folder, {}
        self.text = "\n".join(part.text for part in PARTS[page])
        self.environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join([str(folder / ".site"), str(ROOT)]),
            "KERASSEQ_DATA": DATA,
        }  # fmt: skip
        self.server: Process | None = None
        self.failures: list[str] = []

    def follow(self) -> None:
        for part in PARTS[self.page]:
            if part.not_run:
                continue
            first = re.match(r"# (\S+\.\w+)\n", part.text)
            try:
                if first:
                    path = self.folder / first[1]
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(part.text, encoding="utf-8")
                elif part.kind == "bash":
                    self.shell(part.text)
                elif part.kind == "python":
                    exec(compile(self.addressed(part.text), self.page, "exec"), self.names)
            except Exception as error:
                told = "".join(traceback.format_exception_only(error)).strip()
                shown = part.text.splitlines()[0]
                self.failures.append(f"{self.page}:{part.line}: {shown}\n    {told}")

    def addressed(self, text: str) -> str:
        """The text, with the server's true port."""
        return text.replace(PORT, f"127.0.0.1:{self.server.port}") if self.server else text

    def shell(self, command: str) -> None:
        given = None
        for words in stages(self.addressed(command)):
            target = None
            if ">" in words:
                words, target = words[: words.index(">")], words[-1]
            given = self.program(words, given)
            if target:
                (self.folder / target).write_text(given, encoding="utf-8")

    def program(self, words: list[str], given: str | None) -> str:
        """Runs a program of a pipeline; what it printed."""
        if words[0] == "export":
            self.environment.update(word.split("=", 1) for word in words[1:])
            return ""
        if words[:2] == ["kerasseq", "serve"]:
            with contextlib.chdir(self.folder):
                self.server = Process(words[2], *words[3:], port=free_port()).ready()
            return ""
        where = {"input": given, "cwd": self.folder, "env": self.environment}
        if words[0] == "kerasseq":
            done = warm.run(self.kerasseq(words[1:]), **where)
        elif words[:2] == ["python", "-m"]:
            done = warm.run(words[1:], **where)
        else:
            if words[0] == "python":
                words = [sys.executable, *words[1:]]
            elif words[:2] == ["pip", "install"]:
                there = ["--quiet", "--no-index", "--target", str(self.folder / ".site"), "."]
                words = [sys.executable, "-m", "pip", "install", *words[2:-2], *there]
            elif words[0] == "curl":
                words = [*words, "--silent", "--show-error", "--fail"]
            done = subprocess.run(words, capture_output=True, text=True, check=False, **where)
        if done.returncode:
            raise AssertionError(f"status {done.returncode}: {done.stderr.strip()[-1500:]}")
        return done.stdout

    def kerasseq(self, words: list[str]) -> list[str]:
        """What stands behind ``python`` for a command, which is made small."""
        task, verb = [*words, "", ""][:2]
        if verb not in ("train", "tune") or {"--help", "--print_config"} & set(words):
            return ["-m", "kerasseq", *words]
        words = [*words, *small(task)]
        if verb == "tune":
            if "hyperband" in words:  # which begins with three trials of three epochs
                return ["-m", "kerasseq", *words, "--max-trials=4", "--training.epochs=3"]
            return ["-m", "kerasseq", *words, "--max-trials=2"]
        name = Path(after(words, "--run") or after(words, "--recipe") or task).name
        if re.search(rf"models/{name}\b", self.text):
            return ["-m", "kerasseq", *words]
        places = len(re.findall(rf"runs/{name}\b(?!-)", self.text))
        if name != task and places == ("--run" in words):
            words = [*words, "--only-train"]
        return ["-c", WITHOUT_EXPORT, *words]


def after(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words else ""


def made_small(call):
    """``kerasseq.train`` or ``tune`` with the settings of `SMALL` behind those that are given."""

    def smaller(task, data=None, **options):
        quick = dict(word.removeprefix("--").split("=") for word in small(task))
        values = {name: number(value) for name, value in quick.items()}
        limits = {"max_trials": 2} if "max_trials" in options else {}
        return call(task, data, **{**options, **limits, **values})

    return smaller


def number(text: str):
    return int(text) if text.isdigit() else text


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs") / "data"
    write_data(folder)
    return folder


@pytest.mark.gate
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if PARTS[page]])
def test_a_page_runs(page, data, tmp_path, monkeypatch):
    session = Session(page, shutil.copytree(data, tmp_path / "reader"))
    monkeypatch.chdir(session.folder)
    monkeypatch.setenv("KERASSEQ_DATA", DATA)
    for name in ("train", "tune"):
        monkeypatch.setattr(kerasseq, name, made_small(getattr(kerasseq, name)))
    try:
        session.follow()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
        if session.server:
            session.server.end()
    assert not session.failures, "\n" + "\n".join(session.failures)
    if page == "docs/layers.md":
        assert session.names["history"].history["crf_accuracy"][-1] > 0.95


# -- what is looked at -----------------------------------------------------------------------------


def kerasseq_commands():
    """The words after ``kerasseq TASK`` of every command, each once, with its place."""
    found = {}
    for page, parts in PARTS.items():
        for part in parts:
            for words in stages(part.text) if part.kind == "bash" else ():
                words = words[: words.index(">")] if ">" in words else words
                words = words[1:] if words[0].startswith("TF_CONFIG") else words
                if words[0] == "kerasseq" and len(words) > 2 and words[1] in task_names():
                    found.setdefault(tuple(words[1:]), f"{page}:{part.line}: {part.text}")
    return found


COMMANDS = kerasseq_commands()
TASK_VERBS = sorted({words[:2] for words in COMMANDS if not words[1].startswith("-")})


@pytest.mark.parametrize("task_verb", TASK_VERBS, ids=" ".join)
def test_commands_parse(task_verb, tmp_path, monkeypatch):
    name, verb = task_verb
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERASSEQ_DATA", DATA)
    task = find_task(name)
    known = cli.verbs_of(task)
    verbs = {verb: known[verb]} if verb in known else known  # parsers of all verbs take long
    wrong = []
    for words, place in COMMANDS.items():
        if words[:2] != task_verb:
            continue
        for option in ("--config", "--space"):
            if file := after(list(words), option):
                Path(file).parent.mkdir(parents=True, exist_ok=True)
                Path(file).write_text("seed: 2\n")
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                cli.parse(task, verbs, words[1:], "program")
        except SystemExit:  # --help, --print_config
            assert {"--help", "--print_config"} & set(words)
        except UserError as error:
            wrong.append(f"{place}\n    {error}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_two_commands_come_first():
    assert LINES[:2] == [
        "python3 -m venv .venv && .venv/bin/pip install -e '.[corpora]' && .venv/bin/python "
        "-m tasks.sentiment train",
        "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python "
        "-m pytest -n auto --dist loadfile",
    ]


def test_ci_runs_the_readme_test_command():
    assert "grep -m1 'pytest' README.md" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    lines = README.read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if "pytest" in line) == LINES[1]


def test_the_readme_is_one_page_and_shows_results_early():
    text = README.read_text(encoding="utf-8")
    assert 8_000 <= len(text.encode()) <= 10_240
    assert text.partition("<!-- /front -->")[0].count("\n") < 90
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (ROOT / picture).stat().st_size < 150_000


def test_every_task_and_every_recipe_is_shown():
    assert {words[0] for words in COMMANDS} == set(task_names())
    shown = {(words[0], after(list(words), "--recipe")) for words in COMMANDS}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES.values())
    for recipe in map(find_recipe, recipe_names()):
        assert (recipe.task, recipe.name) in shown or f"`{command_of(recipe)}`" in text


def test_nothing_is_excused_in_vain():
    for what in NOT_RUN:
        assert any(re.search(what, part.text) for parts in PARTS.values() for part in parts), what


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_python_compile_and_modules_exist(page):
    for part in PARTS[page]:
        if part.kind == "python":
            compile(part.text, f"{page}:{part.line}", "exec")
        for module in re.findall(r"python -m ([\w.]+)", part.text) if part.kind == "bash" else ():
            assert importlib.util.find_spec(module), f"{page}:{part.line}: {module}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_linked_exist(page):
    prose = re.sub(r"```.*?```", "", PAGES[page].read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#:]+)\)", prose):
        assert (PAGES[page].parent / target).exists(), f"{page}: {target}"


def test_every_page_is_linked_from_the_readme():
    text = README.read_text(encoding="utf-8")
    for page in set(PAGES) - {"README.md", "docs/README.md"}:
        assert f"({page})" in text, page


def test_extras_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES.values())
    shown = {e for group in re.findall(r"\.\[([\w,]+)\]", text) for e in group.split(",")}
    assert shown
    assert shown <= set(project["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES)
def test_tables_are_those_of_the_records(page):
    from benchmarks.tables import updated

    text = PAGES[page].read_text(encoding="utf-8")
    assert updated(text, PAGES[page].parent) == text
