"""Scores as pandas tables, and as Jupyter shows them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from stackbone.cache.upkeep.display import notebook_html
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.metrics.model_scores import Evaluation
from stackbone.stack.tables import table
from stackbone.stack.tables.metric_names import titles
from stackbone.stack.tables.score_rows import score_rows
from stackbone.stack.tables.verdict import verdict

if TYPE_CHECKING:
    import pandas as pd


def experiment_frame(experiment: Experiment) -> pd.DataFrame:
    """Return the scores, a row for each model: see `Experiment.to_frame`."""
    import pandas as pd

    return pd.DataFrame(score_rows(experiment))


def evaluation_frame(evaluation: Evaluation) -> pd.DataFrame:
    """Return a row for each model and fold: see `Evaluation.to_frame`."""
    import pandas as pd

    rows = []
    for score in evaluation.results:
        numbers = {score.primary_metric: score.folds, **score.metrics}
        for fold in range(len(score.folds)):
            rows.append({"model": score.model, "fold": fold + 1} | {name: each[fold] for name, each in numbers.items()})
    return pd.DataFrame(rows)


def evaluation_html(evaluation: Evaluation) -> str:
    """Return every model's scores, means over folds."""
    frame = evaluation_frame(evaluation).drop(columns="fold").groupby("model", sort=False).mean()
    lines = [f"{model}: {warning}" for model, told in evaluation.warnings.items() for warning in told]
    return notebook_html(repr(evaluation).strip("<>"), lines, frame.rename(columns=titles()))


def experiment_html(experiment: Experiment) -> str:
    """Return the verdict, every model's scores, and the report's figure of them."""
    import pandas as pd

    frame = pd.DataFrame(table.rows(experiment), columns=table.header(experiment)).set_index("model")
    lines = [*str(verdict(experiment)).splitlines(), *table.footnotes(experiment)]
    return notebook_html(table.title(experiment), lines, frame) + _framed(experiment)


def _framed(experiment: Experiment) -> str:
    """Return the figure in a frame of its own: notebooks run scripts in any order, and a frame runs its own in turn."""
    figure = experiment.plot.scores()
    height = figure.layout.height
    page = figure.to_html(include_plotlyjs="cdn", default_height=f"{height}px", config={"displaylogo": False})
    return f'<iframe srcdoc="{escape(page)}" style="width: 100%; height: {height + 32}px; border: 0"></iframe>'
