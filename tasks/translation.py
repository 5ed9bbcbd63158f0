"""Translation with recurrent encoder-decoders.

python -m tasks.translation train
"""

from kerasseq.app.cli import main

if __name__ == "__main__":
    main("translation")
