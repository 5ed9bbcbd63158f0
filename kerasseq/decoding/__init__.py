"""Text from a step function: sampling, greedy choice and beam search, in Python or in a graph."""
