"""Language models of words or characters with recurrent networks.

python -m tasks.language_model train
"""

from kerasseq.app.cli import main
from kerasseq.tasks.language_model.task import LanguageModel

if __name__ == "__main__":
    main(LanguageModel)
