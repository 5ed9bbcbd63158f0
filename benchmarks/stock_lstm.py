"""The tutorials' IMDB classifier, as plain as they are, to compare with.

TextVectorization(1000), Embedding(64), LSTM(64), Dense(64), Adam(1e-4), batches of 64 in arrival
order. Nothing of kerasseq is used but the reader of the archive.
"""

from __future__ import annotations

import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasseq.tasks.sentiment.reading import read_archive


def seconds_to(accuracy: float, archive: Path, epochs: int, seed: int) -> dict:
    """Trains until the test accuracy is reached, looked at after every epoch.

    Returns:
        Seconds (reading and training, not evaluating) and test accuracy after each epoch, the
        seconds to ``accuracy`` (None if it was not reached), and the padding of the first batches.
    """
    keras.utils.set_random_seed(seed)
    start = time.perf_counter()
    corpus = read_archive(archive, "utf-8")
    data = {}
    for split, examples in corpus.splits.items():
        texts = [example.text for example in examples]
        labels = np.array([example.label == "positive" for example in examples], np.float32)
        data[split] = tf.data.Dataset.from_tensor_slices((texts, labels))
    count = len(corpus.splits["train"])
    train = data["train"].shuffle(count, seed=seed).batch(64).prefetch(tf.data.AUTOTUNE)
    test = data["test"].batch(64).prefetch(tf.data.AUTOTUNE)

    encoder = keras.layers.TextVectorization(max_tokens=1000)
    encoder.adapt(train.map(lambda text, label: text))
    model = keras.Sequential(
        [
            encoder,
            keras.layers.Embedding(1000, 64, mask_zero=True),
            keras.layers.LSTM(64),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(1e-4),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")],
    )
    spent = time.perf_counter() - start
    batches = [encoder(text).numpy() for text, _ in train.take(50)]
    waste = float(np.mean([np.mean(ids == 0) for ids in batches]))

    history = []
    for epoch in range(epochs):
        start = time.perf_counter()
        model.fit(train, epochs=1, verbose=0, shuffle=False)
        spent += time.perf_counter() - start
        reached = float(model.evaluate(test, verbose=0)[1])
        history.append({"seconds": round(spent, 1), "accuracy": round(reached, 4)})
        print(f"stock, epoch {epoch + 1}: {spent:.0f} s, test accuracy {reached:.4f}", flush=True)
        if reached >= accuracy:
            break
    done = history[-1]["accuracy"] >= accuracy
    return {
        "history": history,
        "seconds": history[-1]["seconds"] if done else None,
        "padding_waste": round(waste, 4),
    }
