from kerasseq import plots


def test_pictures_are_written(tmp_path):
    history = [
        {"step": s, "epoch": s / 2, "loss": 1 / s, "validation_loss": 1 / s,
         "validation_accuracy": 0.8} for s in (1, 2)
    ]  # fmt: skip
    plots.save(plots.learning_curves(history, 2, "a run"), tmp_path / "curves.png")
    plots.confusion([[3, 1], [0, 2]], ["no", "yes"], tmp_path / "matrix.png", "a matrix")
    for name in ("curves.png", "matrix.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
