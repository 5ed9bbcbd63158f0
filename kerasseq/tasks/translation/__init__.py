"""Translation.

Follow a pair of sentences through :mod:`~kerasseq.tasks.translation.reading`,
:mod:`~kerasseq.tasks.translation.cleaning`, :mod:`kerasseq.text.subwords`,
:mod:`~kerasseq.tasks.translation.data`, :mod:`~kerasseq.tasks.translation.model`,
:mod:`kerasseq.training.trainer`, :mod:`kerasseq.decoding.encoder_decoder`,
:mod:`~kerasseq.tasks.translation.report` and :mod:`~kerasseq.tasks.translation.export`.
"""
