"""How good a classifier is, for people."""

from __future__ import annotations

from typing import Any

SHOWN = 50
"""Most classes that are listed, the frequent ones; a report in JSON has all of them."""


def report_lines(report: dict[str, Any]) -> list[str]:
    """What :meth:`kerasseq.tasks.sentiment.classification.Classification.report` gave, as lines."""
    low, high = report["accuracy_95"]
    several = "micro_f1" in report  # classes a text
    name = "subset accuracy" if several else "accuracy"
    figures = [("micro F1", "micro_f1"), ("macro F1", "macro_f1"), ("AUC", "auc"),
               ("log-loss", "log_loss"), ("calibration error", "calibration_error")]  # fmt: skip
    columns = ["precision", "recall", "f1", *(["threshold"] if several else [])]
    width = max(map(len, [*report["classes"], "class"]))
    titles = "  ".join(f"{'F1' if column == 'f1' else column:>9}" for column in columns)
    lines = [
        f"{name} {report['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}, "
        f"{report['examples']:,} examples)",
        ", ".join(f"{shown} {report[key]:.4f}" for shown, key in figures if key in report),
        f"{'class':<{width}}  {titles}  support",
    ]
    classes = report["classes"]
    often = set(sorted(classes, key=lambda name: -classes[name]["support"])[:SHOWN])
    for name, c in classes.items():
        if name not in often:
            continue
        values = "  ".join(f"{c[column]:9.4f}" for column in columns)
        lines.append(f"{name:<{width}}  {values}  {c['support']:7,}")
    if len(classes) > SHOWN:
        lines.append(f"and {len(classes) - SHOWN:,} classes that are rarer")
    return lines
