"""Part-of-speech tagging, or any other labelling of words, with recurrent networks.

python -m tasks.pos_tagging train
"""

from kerasseq.app.cli import main
from kerasseq.tasks.tagging.task import PosTagging

if __name__ == "__main__":
    main(PosTagging)
