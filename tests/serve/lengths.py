"""A model for the server, made on the spot."""

import json

import tensorflow as tf

PREDICT = "/v1/models/lengths:predict"


class Lengths(tf.Module):
    """Lengths of texts plus a number, which tells versions apart.

    Args:
        number: the number.
        slow: turns of a few milliseconds that each call takes.
    """

    def __init__(self, number, slow=0):
        super().__init__()
        self.number = tf.Variable(number)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
        def serve(text):
            turns = 0.0
            asked = tf.reduce_all(text != "warm up")  # else it is the server, before it is ready
            for turn in tf.range(float(slow) * tf.cast(asked, tf.float32)):  # milliseconds each
                turns += 0 * tf.reduce_sum(tf.cos(tf.range(1e6) + turn))
            return {"size": tf.strings.length(text) + self.number + tf.cast(turns, tf.int32)}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, "text"), tf.TensorSpec([], tf.int32, "k")
            ]
        )  # fmt: skip
        def take(text, k):
            with tf.control_dependencies([tf.debugging.Assert(k > 0, ["k must be 1 or more"])]):
                return {"head": tf.strings.substr(text, 0, k), "text_bytes": text}

        self.serve, self.take = serve, take


def write(root, number, version=None, name="lengths", slow=0):
    """A version as an export leaves it."""
    module = Lengths(number, slow)
    work = root / name / f".incoming-{number}"
    tf.saved_model.save(
        module, str(work), signatures={"serving_default": module.serve, "take": module.take}
    )
    (work / "manifest.json").write_text(json.dumps({"task": "test", "settings": {"x": 1}}))
    work.rename(root / name / str(version or number))
