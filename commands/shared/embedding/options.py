"""How images are embedded, and by how many processes or machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.cache.cluster.joining import check_ray
from stackbone.cache.errors import UsageError
from stackbone.commands.shared.cluster.ray import RayOption
from stackbone.commands.shared.options import DeviceOption, EngineOption, WorkersOption, finite

if TYPE_CHECKING:
    from stackbone.extract.embedding.cluster.placing import ClusterOptions

DataArgument = Annotated[
    list[str],
    typer.Argument(
        help="A folder of class folders, tables, archives, videos, a CUB, VOC, COCO or YOLO folder, image files, a URL"
    ),
]
ChosenBackbonesOption = Annotated[
    str | None,
    typer.Option(
        help="Names ({backbones}), groups ({groups}, all) or timm:MODEL, separated by commas; NAME@OUTPUT "
        "for one of its outputs [default: published, or what --backbone-module names; and what --steering makes]"
    ),
]
OutputsOption = Annotated[
    str | None,
    typer.Option(
        help="What to keep of every backbone, separated by commas, each a feature set of its own: {outputs}, "
        "layer:NAME; `backbones --outputs NAME` says what a network has [default: pooled]"
    ),
]
NoLabelsOption = Annotated[bool, typer.Option("--no-labels", help="Ignore labels: compute features only")]


@dataclass(frozen=True)
class EmbeddingOptions:
    """How images are embedded: fields are arguments of `extract.extract`."""

    views: Annotated[
        str | None,
        typer.Option(
            help="Views of each image, each a feature set of its own, separated by commas: plain, hflip, five-crop, "
            "ten-crop, augment:K; docs/views.md shows them [default: plain]"
        ),
    ] = None
    map_size: Annotated[
        int | None,
        typer.Option(
            help="Side in pixels of the square frame that an image is put into for --outputs pyramid: a multiple of "
            "32 [default: 416]"
        ),
    ] = None
    precision: Annotated[
        str, typer.Option(help="Numeric precision: {precisions}; each gives a separate feature set")
    ] = "fp32"
    engine: EngineOption = "auto"
    device: DeviceOption = "auto"
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images that a network takes at once [default: what suits the engine]")
    ] = None
    workers: WorkersOption = None
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again the images that failed in earlier runs")
    ] = False


@dataclass(frozen=True)
class SpreadOptions:
    """One job over several processes or machines."""

    part: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            help="Embed the K-th of N parts of the images, such as 3/16; run the others elsewhere on the same cache, "
            "at the same time or later",
        ),
    ] = None
    index_only: Annotated[
        bool,
        typer.Option(
            "--index-only",
            help="List the images and read them for their digests, and write the index; run it once before parts, "
            "which then read their own images alone",
        ),
    ] = False

    ray: RayOption = None
    gpus_per_worker: Annotated[
        float | None,
        typer.Option(
            min=0, callback=finite, help="GPUs of each worker of --ray [default: 1 where nodes have any, else none]"
        ),
    ] = None
    cpus_per_worker: Annotated[
        int | None, typer.Option(min=1, help="Cores of each worker of --ray [default: all of its node]")
    ] = None
    worker_timeout: Annotated[
        float | None,
        typer.Option(
            min=1,
            callback=finite,
            metavar="SECONDS",
            help="End a worker of --ray that gets nothing done for so long, and give its images to others [default: "
            "600]",
        ),
    ] = None

    @property
    def cluster(self) -> ClusterOptions | None:
        """The cluster that computes; None for this process alone."""
        from stackbone.extract.embedding.cluster.placing import WORKER_TIMEOUT, ClusterOptions

        if self.ray is None:
            return None
        timeout = WORKER_TIMEOUT if self.worker_timeout is None else self.worker_timeout
        return ClusterOptions(self.ray, self.gpus_per_worker, self.cpus_per_worker, timeout)

    def check(self, *, dry_run: bool) -> None:
        """Raise `UsageError` if options exclude each other."""
        given = [("--part", self.part), ("--index-only", self.index_only), ("--dry-run", dry_run)]
        if len(both := [name for name, value in given if value]) > 1:
            message = (
                f"found {' and '.join(both)} together; expected at most one of {', '.join(name for name, _ in given)}, "
                f"as each says what the run is to do: leave out {' or '.join(both)}"
            )
            raise UsageError(message)
        of_ray = [
            ("--gpus-per-worker", self.gpus_per_worker),
            ("--cpus-per-worker", self.cpus_per_worker),
            ("--worker-timeout", self.worker_timeout),
        ]
        for name, value in of_ray:
            if value is not None and self.ray is None:
                message = (
                    f"found {name} {value:g} without --ray; expected it of the workers of a cluster alone: add --ray "
                    f"auto, or leave {name} out"
                )
                raise UsageError(message)
        if self.ray is not None:
            check_ray(self.ray)
