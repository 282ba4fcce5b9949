"""The scores of an experiment as rows for programs: one for each model, with all digits and every fold."""

from __future__ import annotations

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.shots import FewShots


def score_rows(experiment: Experiment) -> list[dict[str, object]]:
    """Return a row for each model, all with the same columns, in the order of the table.

    They are ``model``, its primary metric (such as ``accuracy``) and ``std``, the mean and the spread of that metric
    over the folds, the mean of every other metric by its name (None where a model has none), and the primary metric on
    each fold, ``fold_1`` and so on. With few-shot scores, their rows follow, and every row has ``shots`` (training
    images of each class; None for all) and ``reach`` (half the 95% interval of the mean over tries; None without one);
    their ``std`` is over tries, and they have no folds. Units are those of `Experiment.to_dict`.
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
    return rows if experiment.few_shots is None else _with_few_shots(rows, experiment.few_shots)


def _with_few_shots(rows: list[dict[str, object]], few: FewShots) -> list[dict[str, object]]:
    primary = list(rows[0])[1]
    whole = [{**row, "shots": None, "reach": None} for row in rows]
    drawn = []
    for each in few.scores:
        row: dict[str, object] = dict.fromkeys(whole[0])
        row |= {name: sum(values) / len(values) for name, values in each.metrics.items() if name in row}
        row |= {"model": each.model, primary: each.mean, "std": each.std, "shots": each.shots, "reach": each.reach}
        drawn.append(row)
    return whole + drawn
