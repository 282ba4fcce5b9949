"""The report of a run of `extract`, for programs and for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FAILED, DatasetIndex
from stackbone.cache.hdf5.coded_texts import count_texts
from stackbone.cache.text import counted
from stackbone.cache.upkeep.dataset_summary import DatasetSummary
from stackbone.cache.upkeep.display import notebook_html
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.filling import Filling
from stackbone.extract.embedding.pipeline import Profile

if TYPE_CHECKING:
    import pandas as pd

REMARK_MARK = "; "
"""Parts what is to be known of one image, in its index."""

_SHOWN_FAILURES = 20


@dataclass(frozen=True)
class BackboneReport:
    """What a run did for one feature set.

    Attributes
    ----------
    backbone
        Its name, such as ``resnet50`` or ``resnet50@stages``.
    feature_set
        Its id.
    n_embedded, n_found
        Images embedded now, and found in the cache.
    start_seconds, embed_seconds
        Wall time to make the engine (to load or convert the network), and to run it, for all outputs together.
    shares_pass
        Whether these are the times of a feature set before it, which the same network filled.
    is_other_view
        Whether it took passes of its own all the same: no feature set before it is of its view.
    n_run
        Passes of the network in that time: one for each view of an image.
    ran_meanwhile
        Whether the network ran beside all else, as on a GPU.
    """

    backbone: str
    feature_set: str
    n_embedded: int
    n_found: int
    start_seconds: float
    embed_seconds: float
    shares_pass: bool = False
    n_run: int = 0
    is_other_view: bool = False
    ran_meanwhile: bool = False


def report_backbone(filling: Filling, embedder: Embedder | None, n_images: int) -> BackboneReport:
    """Return what a run did for a feature set.

    Parameters
    ----------
    embedder
        Of its backbone; None where no feature set of it lacked an image.
    n_images
        That the run went through.
    """
    at_work = embedder if embedder and any(each is filling for each in embedder.fillings) else None
    of_view = [each for each in at_work.fillings if each.spec.view == filling.spec.view] if at_work else [filling]
    return BackboneReport(
        backbone=filling.feature_set.backbone,
        feature_set=filling.feature_set.id,
        n_embedded=filling.n_embedded,
        n_found=n_images - int(filling.lacking.sum()),
        start_seconds=at_work.start_seconds if at_work else 0.0,
        embed_seconds=at_work.embed_seconds if at_work else 0.0,
        shares_pass=bool(at_work and at_work.fillings[0] is not filling),
        n_run=at_work.n_run if at_work else 0,
        is_other_view=of_view[0] is filling,
        ran_meanwhile=bool(at_work and at_work.runs_ahead),
    )


@dataclass(frozen=True, repr=False)
class ExtractReport:
    """What a run did.

    Attributes
    ----------
    index
        The dataset as it now stands in the cache.
    cache
        The cache directory.
    summary
        What was understood of it.
    n_hashed
        Files whose bytes were read to learn their digest; the others were remembered.
    n_decoded, n_failed_now
        Distinct images decoded now, each once for every backbone that lacked it, and those that failed among them.
    n_decoded_for_all
        Those of the former that every backbone lacked that lacked any.
    n_abandoned
        Temporary files of writers that died, removed now.
    backbones
        A `BackboneReport` for each feature set.
    profile
        Where the rest of the time went.
    seconds
        Wall time of the whole run.
    part
        Which part of the images it was about, such as ``3/16``; ``""`` for all of them.
    is_mine
        (n,) bool: the rows of `index` that it was about.
    """

    index: DatasetIndex
    summary: DatasetSummary
    cache: str
    n_hashed: int
    n_decoded: int
    n_failed_now: int
    n_decoded_for_all: int
    n_abandoned: int
    backbones: list[BackboneReport]
    profile: Profile
    seconds: float
    part: str
    is_mine: NDArray[np.bool_]

    def __repr__(self) -> str:
        failed = f", {len(self.failures):,} failed" if self.failures else ""
        return (
            f"<ExtractReport {self.index.name}: {counted(self.n_images, 'image')}, "
            f"{counted(len(self.backbones), 'feature set')}, {counted(self.n_embedded, 'row')} embedded now{failed}>"
        )

    def _repr_html_(self) -> str:
        """Return the report for Jupyter: what people read, and a row for each feature set."""
        title, *understood = (line.strip() for line in self.summary.lines())
        names = {each.feature_set for each in self.backbones}
        done = [line.strip() for line in self.lines() if not names & {*line.split()}]
        return notebook_html(title, [*understood, *done, *self.failure_lines()], self.to_frame())

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each feature set: ``feature_set`` (the index) and the fields of `BackboneReport`."""
        import pandas as pd

        return pd.DataFrame([asdict(each) for each in self.backbones]).set_index("feature_set")

    @property
    def n_images(self) -> int:
        """Distinct sound images."""
        return self.summary.n_images

    @property
    def n_mine(self) -> int:
        """Listed images that the run was about."""
        return int(self.is_mine.sum())

    @property
    def n_embedded(self) -> int:
        """Rows of features computed, over all feature sets."""
        return sum(report.n_embedded for report in self.backbones)

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(path, reason) of every image that could not be embedded."""
        rows = np.flatnonzero((self.index.status == FAILED) & self.is_mine)
        return [(self.index.path[i], self.index.reason[i]) for i in rows.tolist()]

    @property
    def remarks(self) -> dict[str, int]:
        """What is to be known of how sound images were read, and of how many images."""
        found: Counter[str] = Counter()
        for reason, n in count_texts(self.index.reason, np.flatnonzero(self.index.ok & self.is_mine)).items():
            for remark in reason.split(REMARK_MARK) if reason else ():
                found[remark] += n
        return dict(found)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "dataset": self.index.name,
            "cache": self.cache,
            "summary": self.summary.to_dict(),
            "n_listed": len(self.index),
            "n_images": self.n_images,
            **({"part": self.part, "n_in_part": self.n_mine} if self.part else {}),
            "n_hashed": self.n_hashed,
            "n_decoded": self.n_decoded,
            "backbones": [asdict(each) for each in self.backbones],
            "remarks": self.remarks,
            "failed": [{"path": path, "reason": reason} for path, reason in self.failures],
            "seconds": round(self.seconds, 3),
            "profile": {name: round(seconds, 3) for name, seconds in asdict(self.profile).items()},
        }

    def lines(self) -> list[str]:
        """Return what people read once all is done; `summary` has its own lines, for before."""
        lines = [f"{counted(n, 'image')}: {remark}" for remark, n in self.remarks.items()]
        if self.part:
            lines.insert(0, f"part {self.part}: {self.n_mine:,} of {counted(len(self.index), 'image')}")
        if self.failures:
            lines.append(f"{len(self.failures):,} of {counted(self.n_mine, 'image')} failed")
        if self.n_abandoned:
            removed = counted(self.n_abandoned, "unfinished file")
            lines.append(f"an earlier run was cut short: {removed} removed, its commits kept")
        width = max(len(each.feature_set) for each in self.backbones)
        lines += [self._backbone_line(each, width) for each in self.backbones]
        if self.n_embedded:
            n_images = self.n_decoded - self.n_failed_now
            lines.append(
                f"{counted(n_images, 'image')} embedded in {self.seconds:.1f} s, {n_images / self.seconds:.1f} a second"
                f"{self._once()}; kept in {self.cache}"
            )
        elif self.n_decoded:
            lines.append(f"none of {counted(self.n_decoded, 'image')} could be embedded ({self.seconds:.1f} s)")
        else:
            lines.append(f"nothing to compute: every feature was in {self.cache} already ({self.seconds:.1f} s)")
        return lines

    def _once(self) -> str:
        """Return for how many backbones an image was decoded, where that is more than one."""
        n_backbones = sum(each.n_embedded > 0 and not each.shares_pass for each in self.backbones)
        if n_backbones < 2:
            return ""
        is_for_all = self.n_decoded_for_all == self.n_decoded
        return f", each decoded once for {f'{n_backbones} backbones' if is_for_all else 'the backbones that lacked it'}"

    def _backbone_line(self, each: BackboneReport, width: int) -> str:
        line = (
            f"  {each.feature_set:<{width}}  {each.n_embedded:>9,} embedded now  {each.n_found:>9,} found in the cache"
        )
        if not each.n_embedded:
            return line
        if each.shares_pass:
            return f"{line}  {'by the same network' if each.is_other_view else 'in the same pass'}"
        rate, share = each.n_run / each.embed_seconds, each.embed_seconds / self.seconds
        return f"{line}  {rate:>7.0f}/s, {share:.0%} of the time"

    def profile_rows(self) -> list[list[str]]:
        """Return (what took time, seconds, share of the wall time) for people."""
        passes = [each for each in self.backbones if not each.shares_pass]
        wall = [(f"start {each.backbone}", each.start_seconds) for each in passes]
        wall += [(f"run {each.backbone}", each.embed_seconds) for each in passes if not each.ran_meanwhile]
        wall += [("wait for pixels", self.profile.wait), ("commit", self.profile.commit)]
        wall.append(("list, digest and the rest", self.seconds - sum(seconds for _, seconds in wall)))
        rows = [[name, f"{seconds:.2f}", f"{seconds / self.seconds:.1%}"] for name, seconds in wall]
        threads = [(name, getattr(self.profile, name)) for name in ("read", "decode", "resize")]
        beside = [(f"run {each.backbone}", each.embed_seconds) for each in passes if each.ran_meanwhile]
        rows += [[f"{name}, on its device meanwhile", f"{seconds:.2f}", ""] for name, seconds in beside]
        return rows + [[f"{name}, in threads meanwhile", f"{seconds:.2f}", ""] for name, seconds in threads]

    def failure_lines(self) -> list[str]:
        """Return the first failures, one a line."""
        failures = self.failures
        lines = [f"failed: {path!r}: {reason}" for path, reason in failures[:_SHOWN_FAILURES]]
        if len(failures) > _SHOWN_FAILURES:
            lines.append(f"failed: {len(failures) - _SHOWN_FAILURES:,} more; --json lists all")
        return lines
