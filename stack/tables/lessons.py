"""What an experiment teaches besides its scores, line by line."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.tables.losses import losses
from stackbone.stack.tables.metric_names import primary_metric
from stackbone.stack.tasks.findings import Lesson


def lessons(experiment: Experiment) -> list[Lesson]:
    """Return what else the experiment teaches; the result file has all of it."""
    found = steered_lessons(experiment)
    if lost := losses(experiment):
        metric = primary_metric(experiment)
        sign = 1 if metric.lower_is_better else -1  # of the score itself, where what is lost makes it less
        changes = ", ".join(f"{each.without} {_signed(sign * each.mean, metric.digits)}" for each in lost)
        found.append(Lesson(changes, f"stack:oof without one backbone, in {metric.unit_name}"))
    return found + experiment.findings.error_lessons()


def steered_lessons(experiment: Experiment) -> list[Lesson]:
    """Return what is to be known of each steered backbone; all other lessons the report shows at length."""
    return [_steered_lesson(name, ids, is_nested=name in experiment.nested) for name, ids in experiment.steered.items()]


def _steered_lesson(name: str, ids: Sequence[str], *, is_nested: bool) -> Lesson:
    inside = (
        "the stack learnt to trust it on features of the inner folds, whose steerings saw no label of theirs"
        if is_nested
        else "the steering did see labels of the training part, so the stack may trust this backbone too much"
    )
    return Lesson(
        f"each fold uses features whose steering never saw the fold's test part ({', '.join(dict.fromkeys(ids))}); "
        f"{inside}",
        f"{name} is steered",
    )


def _signed(change: float, digits: int) -> str:
    shown = f"{change:+.{digits}f}"
    return shown if float(shown) else shown[1:]
