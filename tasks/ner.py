"""Named-entity recognition with recurrent networks and a conditional random field.

python -m tasks.ner train
"""

from kerasseq.app.cli import main
from kerasseq.tasks.tagging.task import Ner

if __name__ == "__main__":
    main(Ner)
