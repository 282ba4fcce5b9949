"""What changed since an earlier result, in words and as tables."""

from __future__ import annotations

from stackbone.cache.text import counted
from stackbone.stack.experiments.against.change import Change
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.tables.metric_names import PrimaryMetric, as_primary

MODELS = ["model", "before", "now", "change", "95% interval"]
CLASSES = ["class", "images", "F1 before", "F1 now", "won", "lost"]
IMAGES = ["image", "label", "before", "now"]


def headline(change: Change) -> str:
    """Return in a sentence what became of the score, and how sure that is."""
    metric = as_primary(change.metric)
    model = (
        change.model_now
        if change.model_now == change.model_before
        else (f"{change.model_now} (before: {change.model_before})")
    )
    scores = f"{metric.name} {change.before:.3f} before, {change.now:.3f} now"
    return f"{model}: {scores}; {_judged(change.difference, metric)}"


def certainty(difference: Difference | None) -> str:
    """Return in a few words how sure a difference is."""
    if difference is None:
        return "nothing tells how sure the difference is"
    if difference.low is None:
        return "no difference" if difference.mean == 0 else "alike in every fold"
    return "clear" if difference.excludes_zero else "no clear difference"


def _judged(difference: Difference | None, metric: PrimaryMetric) -> str:
    sure = certainty(difference)
    if difference is None:
        return sure
    if difference.low is None or difference.high is None:
        return sure if difference.mean == 0 else f"{_gain(difference, metric)}, {sure}"
    ends = f"{_signed(difference.low, metric)} to {_signed(difference.high, metric)}"
    doubt = "" if difference.excludes_zero else f": {sure}"
    return f"{_gain(difference, metric)}, 95% interval of the gain {ends}{doubt}"


def _gain(difference: Difference, metric: PrimaryMetric) -> str:
    size = f"{metric.unit * abs(difference.mean):.{metric.digits}f}{metric.suffix}"
    return f"{'worse' if difference.mean < 0 else 'better'} by {size}"


def _signed(number: float, metric: PrimaryMetric) -> str:
    return f"{metric.unit * number:+.{metric.digits}f}"


def facts(change: Change) -> list[str]:
    """Return what is to be known of the images, and the notes, a line each."""
    lines = []
    if change.n_both is not None:
        parts = [
            f"{counted(n, 'image')} {what}"
            for n, what in (
                (change.n_new, "tested only now"),
                (change.n_gone, "tested only before"),
                (change.n_moved, "under another path"),
                (change.n_relabelled, "with another label"),
                (change.n_other_fold, "in another fold, which are not compared"),
            )
            if n
        ]
        both = counted(change.n_both, "image")
        lines.append(f"{both} tested in both" + (f"; {', '.join(parts)}" if parts else ""))
    if change.images:
        lines.append(f"{counted(len(change.won), 'image')} won, {len(change.lost):,} lost, by the labels of now")
    return [*lines, *change.notes]


def model_rows(change: Change) -> list[list[str]]:
    """Return the models that both have, under `MODELS`."""
    metric = as_primary(change.metric)
    rows = []
    for each in change.models:
        found = each.difference
        has_ends = found is not None and found.low is not None and found.high is not None
        ends = f"{_signed(found.low, metric)} to {_signed(found.high, metric)}" if has_ends else "-"  # type: ignore[union-attr, arg-type]
        rows.append(
            [each.model, f"{each.before:.3f}", f"{each.now:.3f}", _signed(each.now - each.before, metric), ends]
        )
    return rows


def class_rows(change: Change) -> list[list[str]]:
    """Return the classes that changed, under `CLASSES`."""
    return [
        [each.name, f"{each.n:,}", f"{each.before:.3f}", f"{each.now:.3f}", f"{each.won:,}", f"{each.lost:,}"]
        for each in change.classes
    ]


def image_rows(change: Change, kind: str) -> list[list[str]]:
    """Return the images ``won`` or ``lost``, under `IMAGES`."""
    return [[each.path, each.label, each.before, each.now] for each in change.images if each.change == kind]
