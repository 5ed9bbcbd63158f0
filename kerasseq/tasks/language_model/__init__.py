"""Language models of words or characters.

Follow a text through :mod:`~kerasseq.tasks.language_model.reading`, :mod:`kerasseq.text.codec`,
:mod:`~kerasseq.tasks.language_model.data`, :mod:`~kerasseq.tasks.language_model.streams`,
:mod:`~kerasseq.tasks.language_model.model`, :mod:`kerasseq.training.trainer`,
:mod:`~kerasseq.tasks.language_model.scorer`, :mod:`kerasseq.decoding` and
:mod:`~kerasseq.tasks.language_model.export`.
"""
