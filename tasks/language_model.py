"""Language models of words or characters with recurrent networks.

python -m tasks.language_model train
"""

from kerasseq.app.cli import main

if __name__ == "__main__":
    main("language_model")
