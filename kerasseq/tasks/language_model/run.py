"""A finished run of a language model, in Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kerasseq.app.arguments import need_text, need_whole
from kerasseq.app.results import texts_of
from kerasseq.app.run import Run
from kerasseq.decoding.beam import check_beam
from kerasseq.decoding.sampling import check_sampling
from kerasseq.decoding.settings import Sampling
from kerasseq.errors import UserError
from kerasseq.evaluation.perplexity import perplexity
from kerasseq.tasks.language_model.task import Prediction
from kerasseq.tasks.language_model.text_model import Continuation, next_result, stop_ids
from kerasseq.training.progress import silence


@dataclass(frozen=True)
class Generated:
    """A text that was generated.

    Attributes:
        prompt: as it was given.
        text: the prompt, as the model reads it, and what follows.
        tokens: how many follow, a stop token counted.
        log_prob: of these, in nats.
        perplexity: of these.
    """

    prompt: str
    text: str
    tokens: int
    log_prob: float
    perplexity: float


@dataclass(frozen=True)
class Scored:
    """How likely a line is.

    Attributes:
        text: as it was given.
        log_prob: in nats, its end counted.
        perplexity: of its tokens.
        tokens: how many, its end counted.
        unknown: how many of them the model does not know.
        token_log_probs: of each token.
    """

    text: str
    log_prob: float
    perplexity: float
    tokens: int
    unknown: int
    token_log_probs: list[tuple[str, float]]


class LanguageModelRun(Run):
    """A finished run of a language model."""

    def next(self, texts: Iterable[str], k: int = 10) -> list[Prediction]:
        """The ``k`` likeliest next tokens of each text."""
        need_whole("k", k, 1)
        model = self.trained.use
        return [
            Prediction(**next_result(text, *zip(*model.next(text, k), strict=True)))
            for text in texts_of(texts, "next")
        ]

    def score(self, texts: Iterable[str]) -> list[Scored]:
        """How likely each line is, by the chain rule."""
        return [
            Scored(**{**row, "token_log_probs": list(row["token_log_probs"])})
            for row in self.trained.use.score(texts_of(texts, "score"))
        ]

    def generate(
        self,
        prompt: str = "",
        length: int = 100,
        *,
        samples: int = 1,
        seed: int = 1,
        greedy: bool = False,
        stop: Sequence[str] = (),
        **sampling: float,
    ) -> list[Generated]:
        """Texts that go on with a prompt, each drawn token by token.

        Args:
            prompt: may be empty: the start of a line.
            length: most tokens to generate.
            samples: how many texts.
            seed: of the first text; the others have the numbers after it.
            greedy: whether the likeliest token is taken each time.
            stop: tokens that end a text; ``"\\n"`` is the line end.
            **sampling: how tokens are drawn: ``temperature``, ``top_k``, ``top_p``.

        Raises:
            ValueError: if a number is out of its bounds, or a stop is no known token.
        """
        unknown = set(sampling) - set(Sampling._fields)
        if unknown:
            raise UserError(
                f"no sampling {unknown.pop()!r}; there are {', '.join(Sampling._fields)}"
            )
        need_text("prompt", prompt)
        need_whole("length", length, 1)
        need_whole("samples", samples, 1)
        how = Sampling(**sampling)
        check_sampling(how, length)
        model = self.trained.use
        ends = stop_ids(model.codec, stop)
        if greedy:
            how = how._replace(top_k=1)
        with silence(self.quiet):
            return [
                generated(prompt, model.generate(prompt, length, how, seed + number, ends))
                for number in range(samples)
            ]

    def search(
        self,
        prompt: str = "",
        length: int = 100,
        *,
        beam: int = 5,
        n_best: int = 1,
        length_penalty: float = 1.0,
        stop: Sequence[str] = ("\n",),
    ) -> list[Generated]:
        """The continuations of lowest perplexity that a beam finds.

        Args:
            prompt, length, stop: as of :meth:`generate`.
            beam: its width.
            n_best: how many are given.
            length_penalty: strength of the length normalisation; 1 ranks by perplexity.
        """
        need_text("prompt", prompt)
        for name, value in (("length", length), ("beam", beam), ("n_best", n_best)):
            need_whole(name, value, 1)
        check_beam(beam, n_best, length)
        model = self.trained.use
        ends = stop_ids(model.codec, stop)
        found = model.beams(prompt, length, beam, n_best, length_penalty, ends)
        return [generated(prompt, one) for one in found]


def generated(prompt: str, made: Continuation) -> Generated:
    """A continuation with its prompt and its perplexity."""
    return Generated(
        prompt, made.text, made.tokens, made.log_prob,
        perplexity(-made.log_prob / max(1, made.tokens)),
    )  # fmt: skip
