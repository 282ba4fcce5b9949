"""The option that names a Ray cluster, and fits that go there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from stackbone.cache.cluster.joining import check_ray

RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Work on the machines of this Ray cluster: HOST:PORT of its head, auto for the one that this machine is "
        "in, local for this machine alone",
    ),
]


@contextmanager
def fits_on(address: str | None) -> Iterator[None]:
    """Let fits meanwhile run on the cluster at an address; None leaves them to this machine."""
    if address is None:
        yield
        return
    check_ray(address)
    from stackbone.stack.fitting.on_ray import fits_on_ray

    with fits_on_ray(address):
        yield
