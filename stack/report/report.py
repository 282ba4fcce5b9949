"""A report before it is written: the records of its sections, and the images that they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from stackbone.cache import FeatureStore
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.progress import Progress
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.report.catalogue.catalogue import Catalogue
from stackbone.stack.report.catalogue.collect import collect_catalogue
from stackbone.stack.report.context import Context, ReportOptions
from stackbone.stack.report.figures.style import Figure
from stackbone.stack.report.head import Head, PageHead, collect_head
from stackbone.stack.report.images import ReportImage
from stackbone.stack.report.pictures import DrawAttention, DrawThumbnails, Pictures
from stackbone.stack.report.section import SECTIONS, Shown
from stackbone.stack.report.sections.attention import AttentionRecord

R = TypeVar("R")


@dataclass(frozen=True)
class FilledSection(Generic[R]):
    """A section and what it found."""

    section: Shown[R]
    record: R

    def figures(self) -> dict[str, Figure]:
        """Return the section's figures by name."""
        return self.section.figures(self.record)


@dataclass(frozen=True, eq=False)
class PageContent:
    """What a page shows.

    Attributes
    ----------
    head : PageHead
        Of the page.
    parts : list of FilledSection
        The sections that have something to show, in the order of the page.
    images : mapping of int to ReportImage
        Every image that a section shows, by row of the dataset's index.
    max_thumbnails : int
        How many of them, from the first, are to be pictured.
    catalogue : Catalogue, optional
        What is known of the images on maps and of these; by default what the dataset lists of the latter.
    thumbnail_size : int
        Pixels of the longer side of a picture.
    """

    head: PageHead
    parts: list[FilledSection[Any]]
    images: Mapping[int, ReportImage]
    max_thumbnails: int = 600
    catalogue: Catalogue | None = None
    thumbnail_size: int = 160

    def figures(self) -> dict[str, Figure]:
        """Return the figures of all sections by name, in the order of the page."""
        return {name: figure for part in self.parts for name, figure in part.figures().items()}

    def record(self, kind: type[R]) -> R | None:
        """Return the record of that type, or None where its section has nothing to show."""
        return next((part.record for part in self.parts if isinstance(part.record, kind)), None)

    def files(self) -> dict[int, ListedFile]:
        """Return the image files that are to be pictured, by row of the dataset's index."""
        return {row: self.images[row].file for row in list(self.images)[: self.max_thumbnails]}


@dataclass(frozen=True, eq=False)
class Report(PageContent):
    """What the report of an experiment or of a transfer shows; its head tells of a model and its score."""

    head: Head


def collect_report(
    experiment: Experiment,
    store: FeatureStore,
    options: ReportOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Report:
    """Collect what a report shows of an experiment; every section collects its own record.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    store : FeatureStore
        The cache it was made with.
    options : ReportOptions, optional
        What to show.
    progress : callable, optional
        See `cache.progress.Progress`.

    Raises
    ------
    CacheError
        If features have left the cache meanwhile, or are damaged.
    StackError
        If there are too few images for a learning curve.
    PluginError
        If a section that another package adds cannot be loaded.
    """
    context = Context(experiment, store, options or ReportOptions(), progress)
    sections = [each for each in SECTIONS.values() if not each.tasks or experiment.task in each.tasks]
    parts = [FilledSection(each, record) for each in sections if (record := each.collect(context)) is not None]
    context.fill_images()
    return Report(
        collect_head(context),
        parts,
        context.images.records(),
        context.options.max_thumbnails,
        collect_catalogue(context),
    )


def draw_pictures(
    report: PageContent, thumbnails: DrawThumbnails | None = None, attention: DrawAttention | None = None
) -> Pictures:
    """Have the pictures of a report drawn.

    Parameters
    ----------
    report : PageContent
        As of `collect_report`.
    thumbnails : callable, optional
        Draws image files; without it, images are shown by path.
    attention : callable, optional
        Draws where steered backbones look; without it, the section is left out.
    """
    files = report.files()
    drawn = thumbnails(list(files.values())) if thumbnails else []
    found = dict(zip(files, drawn, strict=bool(thumbnails)))
    return Pictures(
        {row: each for row, each in found.items() if isinstance(each, bytes)},
        {row: each for row, each in found.items() if isinstance(each, str)},
        _draw_attention(report, attention) if attention else {},
    )


def _draw_attention(report: PageContent, draw: DrawAttention) -> dict[int, bytes]:
    record = report.record(AttentionRecord)
    pictures: dict[int, bytes] = {}
    for backbone, spec in (record.specs if record else {}).items():
        looks = {i: each.row for i, each in enumerate(record.looks if record else ()) if each.backbone == backbone}
        drawn = draw(backbone, spec, [report.images[row].file for row in looks.values()])
        pictures |= {i: content for i, content in zip(looks, drawn, strict=True) if content}
    return pictures
