"""Strings to ids: tokenizer and vocabulary, with the same mapping in Python and in the graph."""
