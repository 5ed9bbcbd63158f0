"""A linear-chain conditional random field as an output layer."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerasseq import compat
from kerasseq.layers import _crf_ops
from kerasseq.layers._checks import (
    check_choice,
    check_mask,
    check_positive,
    check_rank,
    differ,
    is_float,
    whole_numbers,
)
from kerasseq.layers._crf_best_paths import best_paths
from kerasseq.layers._sequence_layer import SequenceLayer

# What a forbidden move costs. Finite, so that a gold sequence with one has a finite loss.
FORBIDDEN = -1e4
OUTPUTS = ("tags", "marginals", "potentials")


@keras.saving.register_keras_serializable(package="kerasseq")
class CRF(SequenceLayer):
    """A distribution over whole tag sequences, with a score for every pair of neighbours.

    `p(y | x) = exp(start[y_1] + sum_t e[t, y_t] + sum_t A[y_t, y_t+1] + end[y_T]) / Z(x)`, where
    `e` are the emissions of the network below
    ([Lafferty et al., 2001](https://repository.upenn.edu/cis_papers/159/);
    [Huang et al., 2015](https://arxiv.org/abs/1508.01991)).

    Two ways to train it with `compile` and `fit`: `output="potentials"` as the model's output
    with `CRFLoss()` (and `CRFAccuracy()`), or the gold tags as an input, `tags=`, which adds the
    loss to the model. Besides calls there are methods on plain tensors: `log_likelihood`,
    `log_partition`, `sequence_score`, `decode`, `marginals`.

    Everything is computed in float32 at least, whatever the dtype policy. The gradient is the
    closed form (gold counts less expected counts), of first order only.

    Args:
        num_tags: number of tags, N.
        use_boundaries: whether to learn scores for the first and the last tag.
        forbidden_transitions: pairs `(from, to)` of tag ids that may not follow each other;
            `tag_constraints` makes them for tags of spans. A forbidden move costs 10,000: emissions
            that differ by more than that still win.
        forbidden_start: tag ids that may not come first.
        forbidden_end: tag ids that may not come last.
        transitions_initializer: initialiser of `A`.
        transitions_regularizer: regulariser of `A`.

    Call arguments:
        emissions: float `[batch, time, num_tags]`, scores and not probabilities.
        mask: bool `[batch, time]`; `None` means that all steps are valid.
        tags: int `[batch, time]`, the gold tags; if given, the negative log-likelihood per
            valid token is added to the model's losses (of several replicas, the mean of theirs:
            `CRFLoss` counts the tokens of all).
        output: `"tags"` (Viterbi), `"marginals"` or `"potentials"`.

    Output shape: tags int32 `[batch, time]`; marginals `[batch, time, num_tags]`; potentials
    `[batch, time + num_tags + 2, num_tags + 1]`, which `CRFLoss` and `CRFAccuracy` read.

    Masking: padded steps have no influence; tags and marginals are 0 there. A row with no valid
    step has log-likelihood 0.

    Example:

    >>> import numpy as np
    >>> crf = CRF(2, forbidden_transitions=[(0, 1)], transitions_initializer="zeros")
    >>> emissions = np.array([[[1.0, 0.0], [0.0, 0.5], [0.0, 0.0]]], "float32")
    >>> np.asarray(crf(emissions, mask=np.array([[True, True, False]]))).tolist()
    [[0, 0, 0]]
    >>> np.asarray(crf(emissions, output="marginals")).shape
    (1, 3, 2)
    """

    def __init__(
        self,
        num_tags: int,
        use_boundaries: bool = True,
        forbidden_transitions: Iterable[Sequence[int]] = (),
        forbidden_start: Iterable[int] = (),
        forbidden_end: Iterable[int] = (),
        transitions_initializer: Any = "glorot_uniform",
        transitions_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        check_positive("CRF", "num_tags", num_tags)
        self.num_tags = num_tags
        self.use_boundaries = use_boundaries
        self.forbidden_transitions = [
            whole_numbers("CRF", "forbidden_transitions", pair) for pair in forbidden_transitions
        ]
        self.forbidden_start = whole_numbers("CRF", "forbidden_start", forbidden_start)
        self.forbidden_end = whole_numbers("CRF", "forbidden_end", forbidden_end)
        self._check_tags("forbidden_start", self.forbidden_start)
        self._check_tags("forbidden_end", self.forbidden_end)
        for pair in self.forbidden_transitions:
            if len(pair) != 2:
                raise ValueError(
                    "CRF: `forbidden_transitions` must hold pairs (from, to). "
                    f"Received: {tuple(pair)}"
                )
            self._check_tags("forbidden_transitions", pair)
        self.transitions_initializer = keras.initializers.get(transitions_initializer)
        self.transitions_regularizer = keras.regularizers.get(transitions_regularizer)

    def _check_tags(self, name: str, tags: Iterable[int]) -> None:
        for tag in tags:
            if not 0 <= tag < self.num_tags:
                raise ValueError(
                    f"CRF: `{name}` must hold tag ids from 0 to {self.num_tags - 1}. "
                    f"Received: {tag}"
                )

    def build(self, emissions_shape: Any) -> None:
        self._check_emissions(emissions_shape)
        size = self.num_tags
        self.transitions = self.add_weight(
            name="transitions",
            shape=(size, size),
            initializer=self.transitions_initializer,
            regularizer=self.transitions_regularizer,
            autocast=False,
        )
        if self.use_boundaries:
            self.start = self.add_weight(
                name="start", shape=(size,), initializer="zeros", autocast=False
            )
            self.end = self.add_weight(
                name="end", shape=(size,), initializer="zeros", autocast=False
            )

    def _check_emissions(self, shape: Any) -> None:
        check_rank("CRF", "emissions", shape, "batch, time, num_tags")
        if shape[-1] != self.num_tags:
            raise ValueError(
                f"CRF: `emissions` must have num_tags={self.num_tags} on the last axis. "
                f"Received: emissions.shape={tuple(shape)}"
            )

    def __call__(self, *args: Any, output: str = "tags", **kwargs: Any) -> Any:
        outputs = super().__call__(*args, output=output, **kwargs)
        if output == "potentials":
            compat.attach_mask(outputs, None)  # they hold it, and have more rows than steps
        return outputs

    def call(self, emissions: Any, mask: Any = None, tags: Any = None, output: str = "tags") -> Any:
        check_choice("CRF", "output", output, OUTPUTS)
        if tags is not None:
            mask = self._mask(emissions, mask)
            total = ops.sum(self.log_likelihood(emissions, tags, mask))
            tokens = ops.maximum(ops.sum(ops.cast(mask, total.dtype)), 1.0)
            self.add_loss(-total / tokens)
        if output == "marginals":
            return self.marginals(emissions, mask)
        if output == "potentials":
            return _crf_ops.pack_potentials(*self._potentials(emissions, mask))
        return self.decode(emissions, mask)

    def log_likelihood(
        self, emissions: Any, tags: Any, mask: Any = None, unknown_tag: int | None = None
    ) -> Any:
        """`log p(tags | emissions)` of each sequence, float32 `[batch]`.

        Args:
            emissions, mask: see the call.
            tags: int `[batch, time]`.
            unknown_tag: id of steps whose tag is not known, such as -1: the probability is then
                that of all sequences with the tags that are
                ([Tsuboi et al., 2008](https://aclanthology.org/C08-1113/)).
        """
        self._check_gold(emissions, tags)
        potentials = self._potentials(emissions, mask)
        if unknown_tag is None:
            return _crf_ops.log_likelihood(*potentials, tags)
        return _crf_ops.partial_log_likelihood(*potentials, tags, unknown_tag)

    def log_partition(self, emissions: Any, mask: Any = None) -> Any:
        """`log Z` of each sequence, float32 `[batch]`."""
        return _crf_ops.log_partition(*self._potentials(emissions, mask))

    def sequence_score(self, emissions: Any, tags: Any, mask: Any = None) -> Any:
        """The unnormalised log-score of `tags`, float32 `[batch]`."""
        self._check_gold(emissions, tags)
        return _crf_ops.sequence_score(*self._potentials(emissions, mask), tags)

    def decode(
        self,
        emissions: Any,
        mask: Any = None,
        n_best: int | None = None,
        return_log_probs: bool = False,
    ) -> Any:
        """The most probable tags (Viterbi), int32 `[batch, time]`, 0 at padding.

        Args:
            emissions, mask: see the call.
            n_best: how many sequences, the best first: int32 `[batch, n_best, time]`. Where there
                are not so many, the rest are zeros, of log-probability -1e30.
            return_log_probs: whether to return a pair: the tags, and the log-probability of each
                sequence, float32 `[batch]` or `[batch, n_best]`.
        """
        potentials = self._potentials(emissions, mask)
        if n_best is None:
            tags = _crf_ops.viterbi(*potentials)
            if not return_log_probs:
                return tags
            return tags, _crf_ops.log_likelihood(*potentials, tags)
        check_positive("CRF", "n_best", n_best)
        tags, there = best_paths(*potentials, n_best)
        if not return_log_probs:
            return tags
        scores = [_crf_ops.log_likelihood(*potentials, tags[:, i]) for i in range(n_best)]
        return tags, ops.where(there, ops.stack(scores, axis=1), -1e30)

    def marginals(self, emissions: Any, mask: Any = None) -> Any:
        """`p(y_t = j | emissions)`, float32 `[batch, time, num_tags]`, 0 at padding."""
        return _crf_ops.marginals(*self._potentials(emissions, mask))

    def _mask(self, emissions: Any, mask: Any) -> Any:
        return check_mask("CRF", mask, emissions, inputs_name="emissions")

    def _check_gold(self, emissions: Any, tags: Any) -> None:
        check_rank("CRF", "tags", tags.shape, "batch, time")
        if is_float(tags):
            raise ValueError(f"CRF: `tags` must be whole numbers. Received: dtype={tags.dtype}")
        if differ(tags.shape, emissions.shape[:2]):
            raise ValueError(
                "CRF: `tags` must have the batch and time of `emissions`. Received: "
                f"tags.shape={tuple(tags.shape)}, emissions.shape={tuple(emissions.shape)}"
            )

    def _potentials(self, emissions: Any, mask: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Emissions, transitions, start, end, mask; constraints applied."""
        emissions = ops.cast(emissions, self.wide_dtype)
        if not self.built:
            self.build(emissions.shape)
        self._check_emissions(emissions.shape)
        valid = self._mask(emissions, mask)
        if mask is not None:
            # What stands at padding, NaN included, must not reach a sum.
            emissions = ops.where(valid[..., None], emissions, 0.0)
        transitions, start, end = self.effective_weights()
        return emissions, transitions, start, end, valid

    def effective_weights(self) -> tuple[Any, Any, Any]:
        """Transitions `[num_tags, num_tags]`, start and end `[num_tags]`; constraints applied."""
        size = self.num_tags
        # A tensor, where TensorFlow wants no variable.
        transitions = ops.cast(ops.copy(self.transitions), self.wide_dtype)
        if self.forbidden_transitions:
            allowed = np.ones((size, size), bool)
            allowed[tuple(zip(*self.forbidden_transitions, strict=True))] = False
            transitions = ops.where(allowed, transitions, FORBIDDEN)
        start = self._boundary("start", self.forbidden_start)
        return transitions, start, self._boundary("end", self.forbidden_end)

    def _boundary(self, name: str, forbidden: list[int]) -> Any:
        if self.use_boundaries:
            scores = ops.cast(ops.copy(getattr(self, name)), self.wide_dtype)
        else:
            scores = ops.zeros((self.num_tags,), self.wide_dtype)
        allowed = np.ones(self.num_tags, bool)
        allowed[forbidden] = False
        return ops.where(allowed, scores, FORBIDDEN) if forbidden else scores

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_tags": self.num_tags,
            "use_boundaries": self.use_boundaries,
            "forbidden_transitions": self.forbidden_transitions,
            "forbidden_start": self.forbidden_start,
            "forbidden_end": self.forbidden_end,
            "transitions_initializer": keras.initializers.serialize(self.transitions_initializer),
            "transitions_regularizer": keras.regularizers.serialize(self.transitions_regularizer),
        }


_LAST = {"bioes": ("I", "E", "S"), "bilou": ("I", "L", "U"), "bmes": ("M", "E", "S")}
SCHEMES = ("iob2", *_LAST)


def tag_constraints(tag_names: Sequence[str], scheme: str = "iob2") -> dict[str, Any]:
    """What a scheme of span tags forbids.

    A tag is a letter and a type (`B-PER`); every other name (`O`) is outside. Where all tags are
    letters of the scheme alone (`B`, `M`, `E`, `S`), they are spans of one type.

    | scheme | a span of one, of two, of three | may not be |
    | --- | --- | --- |
    | `"iob2"` | B, B I, B I I | I but after B or I of its type |
    | `"bioes"` | S, B E, B I E | I or E but after B or I of its type; B or I before anything else |
    | `"bilou"` | U, B L, B I L | the same |
    | `"bmes"` | S, B E, B M E | the same |

    Args:
        tag_names: the tags, in the order of their ids.
        scheme: as above.

    Returns:
        Keyword arguments for `CRF`: `forbidden_transitions`, `forbidden_start` and, in schemes that
        mark the end of a span, `forbidden_end`.

    Raises:
        ValueError: if there is no such scheme, no tag, or a tag that the scheme does not have.

    Example:

    >>> tag_constraints(["O", "B-PER", "I-PER"])
    {'forbidden_transitions': [[0, 2]], 'forbidden_start': [2]}
    >>> tag_constraints(["B", "M", "E", "S"], "bmes")["forbidden_start"]
    [1, 2]
    """
    check_choice("tag_constraints", "scheme", scheme, SCHEMES)
    inside, last, single = _LAST.get(scheme, ("I", "", ""))
    letters_of = {"B", inside, last, single, "O"} - {""}
    alone = set(tag_names) <= letters_of and scheme != "iob2"
    if not tag_names:
        raise ValueError("tag_constraints: `tag_names` must hold a tag")
    for name in tag_names:
        letter, dash, _ = name.partition("-")
        if dash and len(letter) == 1 and letter.isupper() and letter not in letters_of:
            raise ValueError(
                f"tag_constraints: {name!r} is no tag of {scheme!r}, whose letters are "
                f"{', '.join(sorted(letters_of))}: is it another scheme ({', '.join(SCHEMES)})?"
            )
    letters, types = zip(*(_parted(name, alone) for name in tag_names), strict=True)
    opens = [letter in ("B", inside) for letter in letters]  # the span may go on
    follows = [letter in {inside, last} - {""} for letter in letters]  # it must have begun
    forbidden = []
    for source in range(len(letters)):
        for target in range(len(letters)):
            same = types[source] == types[target]
            wrong = follows[target] and not (opens[source] and same)
            unended = bool(last) and opens[source] and not (follows[target] and same)
            if wrong or unended:
                forbidden.append([source, target])
    found = {
        "forbidden_transitions": forbidden,
        "forbidden_start": [tag for tag, at in enumerate(follows) if at],
    }
    if last:
        found["forbidden_end"] = [tag for tag, at in enumerate(opens) if at]
    return found


def _parted(name: str, alone: bool) -> tuple[str, str]:
    """A tag's letter and type; no letter where it has none, unless letters stand alone."""
    letter, dash, kind = name.partition("-")
    return (letter, kind) if dash or alone else ("", name)
