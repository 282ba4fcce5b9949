"""The scores of an experiment as rows for programs: one for each model, with all digits and every fold."""

from __future__ import annotations

from stackbone.stack.experiments.experiment import Experiment


def score_rows(experiment: Experiment) -> list[dict[str, object]]:
    """Return a row for each model, all with the same columns, in the order of the table.

    They are ``model``, its primary metric (such as ``accuracy``) and ``std``, the mean and the spread of that metric
    over the folds, the mean of every other metric by its name (None where a model has none), and the primary metric on
    each fold, ``fold_1`` and so on. Units are those of `Experiment.to_dict`.
    """
    results = experiment.evaluation.results
    names = list(dict.fromkeys(name for score in results for name in score.metrics))
    rows: list[dict[str, object]] = []
    for score in results:
        row: dict[str, object] = {"model": score.model, score.primary_metric: score.mean, "std": score.std}
        for name in names:
            found = score.metrics.get(name)
            row[name] = None if found is None else sum(found) / len(found)
        row |= {f"fold_{number}": value for number, value in enumerate(score.folds, start=1)}
        rows.append(row)
    return rows
