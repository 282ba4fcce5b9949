"""The report's figures of one experiment, one at a time, as Plotly figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from stackbone.cache import FeatureStore, UsageError
from stackbone.cache.choices import nearest
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.report.context import Context, ReportOptions
from stackbone.stack.report.figures.export import to_plotly
from stackbone.stack.report.figures.style import Figure
from stackbone.stack.report.section import SECTIONS, Section

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Plots:
    """Draws the figures of the report: ``experiment.plot.confusion()``.

    Each figure is a method, of which only its own section is computed. ``dir(experiment.plot)`` lists those that the
    experiment's task has. What a method takes:

    which
        Of figures that there is one of for each backbone, such as ``map``, the backbone; by default the first.
    **options
        What `ReportOptions` takes, such as ``projection="pca"``.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def __dir__(self) -> list[str]:
        return sorted(self._sections())

    def __repr__(self) -> str:
        return f"<Plots: {', '.join(f'{name}()' for name in dir(self))}>"

    def __getattr__(self, name: str) -> Callable[..., go.Figure]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._sections():
            near = nearest(name, dir(self), cutoff=0.4)
            hint = f": did you mean {near!r}?" if near else "."
            message = f"there is no figure {name!r}{hint} There are {', '.join(dir(self))}"
            raise AttributeError(message)
        return partial(self._draw, name)

    def _sections(self) -> dict[str, Section[Any]]:
        task = self._experiment.task
        sections = [each for each in SECTIONS.values() if not each.tasks or task in each.tasks]
        return {name: each for each in sections for name, _ in each.plots}

    def _draw(self, name: str, which: str | None = None, **options: Any) -> go.Figure:  # noqa: ANN401 - as of ReportOptions
        import plotly.graph_objects as go

        section = self._sections()[name]
        # A curve is only computed by the section that shows it, so whoever asks for that figure wants it.
        context = Context(
            self._experiment, _store(self._experiment), ReportOptions(**{"learning_curve": True} | options)
        )
        record = section.collect(context)
        figures = {} if record is None else section.figures(record)
        return go.Figure(to_plotly(self._choose(name, dict(section.plots)[name], which, figures)))

    def _choose(self, name: str, prefix: str, which: str | None, figures: dict[str, Figure]) -> Figure:
        found = {key: each for key, each in figures.items() if key == prefix or key.startswith(f"{prefix}_")}
        if prefix in found:
            found = {prefix: found[prefix]}
        if not found:
            message = (
                f"this experiment has nothing for the figure {name!r}: the report leaves it out too. "
                "Choose another one; docs/notebooks.md says what each needs"
            )
            raise UsageError(message)
        chosen = [each for key, each in found.items() if which is None or key.endswith(f"_{which}")]
        if not chosen:
            message = f"the figure {name!r} has no part {which!r}: there are {', '.join(found)}"
            raise UsageError(message)
        return chosen[0]


def _store(experiment: Experiment) -> FeatureStore:
    """Return the cache that an experiment was made with: where its features lie."""
    joined = experiment.joined
    plain = list(joined.feature_sets.values())
    steered = [candidate.feature_set for each in joined.steered.values() for candidate in each.candidates]
    return FeatureStore((plain + steered)[0].folder.parent)
