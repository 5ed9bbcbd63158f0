import re

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kerasseq.text.detokenizer import GLUE, RULES, detokenize
from tests.examples import examples

# what the rules are about, and what comes near it
awkward = st.sampled_from(
    [
        *".,;:!?)]}%([{$#\"'’“”‘…-@ \n\\\x85\u2028\u00a0\r\x00\x1e\x1fé木😀",
        *[
            "a",
            "@-@",
            "@,@",
            "@.@",
            "@;@",
            "``",
            "''",
            "...",
            "n't",
            "n’t",
            "N'T",
            "'s",
            "’ll",
            "'em",
            "'S",
            "n't.",
            '12"',
            "<unk>",
            "\\1",
        ],
    ]
)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("", ""),
        ("a", "a"),
        ("a b .", "a b."),
        (". a", ". a"),
        ("well , yes ; no : why ? ! ...", "well, yes; no: why?!..."),
        ("a ( b [ c { d } ] ) e", "a (b [c {d}]) e"),
        ("$ 5 # 3 80 %", "$5 #3 80%"),
        ("do n't , he 's n't John 's they 're 'em", "don't, he'sn't John's they're 'em"),
        ("don ’t it ’s", "don’t it’s"),
        ('he said " no " and " yes . "', 'he said "no" and "yes."'),
        ('say " no \n " yes " " \n a', 'say "no\n"yes" "\na'),
        ('a 12" b " c 12" d " e', 'a 12" b "c 12" d" e'),
        ('" "', '""'),
        ('( " a " )', '("a")'),
        ("“ a ” ‘ b ’ `` c ''", "“a” ‘b’ ``c''"),
        ("1 @,@ 000 @.@ 5 old @-@ fashioned @-@ like", "1,000.5 old-fashioned-like"),
        ("@-@ @-@ @,@", "--,"),
        ("\n \n a \n , \n", "\n\na\n,\n"),
        ("<unk> <unk> 's", "<unk> <unk>'s"),
        ("viewers ' opinions", "viewers ' opinions"),
    ],
)
def test_examples(tokens, text):
    assert detokenize(tokens.split(" ") if tokens else []) == text


@examples(60)
@given(st.lists(st.lists(awkward, max_size=12), min_size=1, max_size=20))
def test_re2_reads_the_rules_as_python_does(rows):
    texts = [GLUE + "".join(f" {token} " for token in row) + GLUE for row in rows]
    found = tf.constant(texts)
    for pattern, replacement in RULES:
        found = tf.strings.regex_replace(found, pattern, replacement)
        texts = [re.sub(pattern, replacement, text) for text in texts]
        assert [text.decode() for text in found.numpy()] == texts
    assert texts == [detokenize(row) for row in rows]


@examples(100)
@given(st.lists(awkward.filter(lambda token: token.split() == [token] or token == "\n")))
def test_nothing_but_blanks_changes_and_more_tokens_only_add_text(tokens):
    text = detokenize(tokens)
    spelled = ["".join(t[1] if re.fullmatch("@[-,.]@", t) else t for t in tokens)]
    assert text.replace(" ", "") == spelled[0]
    for size in range(len(tokens)):
        assert text.startswith(detokenize(tokens[:size]))


def test_a_long_line_is_read_in_time():
    tokens = ["a", '"', "b", ".", ","] * 40_000
    assert len(detokenize(tokens)) == len('a "b., a" b., ') * 20_000 - 1
