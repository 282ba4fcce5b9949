"""Images in the order in which they are stored: in no other can a compressed archive be read at a bearable price."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from stackbone.extract.containers.place import split_place
from stackbone.extract.containers.reading import stored_names


def in_stored_order(numbers: Iterable[int], place_of: Callable[[int], str]) -> Iterator[int]:
    """Yield the numbers of images, those of a container in the order in which it stores them; all others as they are.

    Parameters
    ----------
    numbers
        Those of one container follow one another.
    place_of
        Returns where an image is read: a file, or ``CONTAINER/MEMBER``.
    """

    def container_of(number: int) -> str:
        inside = split_place("", place_of(number))
        return inside[0] if inside else ""

    for container, own in groupby(numbers, container_of):
        if not container:
            yield from own
            continue
        number_of = {place_of(number)[len(container) + 1 :]: number for number in own}
        for name in stored_names(container, number_of):
            yield number_of.pop(name)
        yield from number_of.values()  # gone, or behind a fault: reading them says so
