"""Sentiment, or any other classification of texts.

Follow one review through :mod:`~kerasseq.tasks.sentiment.reading`,
:mod:`~kerasseq.tasks.sentiment.data`, :mod:`kerasseq.data.batches`,
:mod:`~kerasseq.tasks.sentiment.model`, :mod:`kerasseq.training.trainer`,
:mod:`~kerasseq.tasks.sentiment.report` and :mod:`~kerasseq.tasks.sentiment.export`.
"""
