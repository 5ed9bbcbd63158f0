"""Translation with recurrent encoder-decoders.

python -m tasks.translation train
"""

from kerasseq.app.cli import main
from kerasseq.tasks.translation.task import Translation

if __name__ == "__main__":
    main(Translation)
