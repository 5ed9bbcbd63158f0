"""Sentiment, or any other classification of texts, with a recurrent network.

python -m tasks.sentiment train
"""

from kerasseq.app.cli import main
from kerasseq.tasks.sentiment.task import Sentiment

if __name__ == "__main__":
    main(Sentiment)
