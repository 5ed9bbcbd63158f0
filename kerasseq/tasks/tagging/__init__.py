"""Labels for the words of sentences: parts of speech, chunks, named entities.

Follow one sentence through :mod:`kerasseq.data.conllu`, :mod:`~kerasseq.tasks.tagging.reading`,
:mod:`kerasseq.text.word_features`, :mod:`~kerasseq.tasks.tagging.data`,
:mod:`~kerasseq.tasks.tagging.model`, :mod:`kerasseq.training.trainer`,
:mod:`~kerasseq.tasks.tagging.report` and :mod:`~kerasseq.tasks.tagging.export`.
"""
