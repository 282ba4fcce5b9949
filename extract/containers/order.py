"""Images in the order in which they are stored: in no other can a compressed archive be read at a bearable price."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from sys import intern

from stackbone.extract.containers.place import kind_of, split_place
from stackbone.extract.containers.reading import stored_names


def by_container(n: int, place_of: Callable[[int], str]) -> list[int]:
    """Return the numbers of n images in an order in which they are quickly read: files first, then each container.

    Parameters
    ----------
    place_of
        As of `in_stored_order`.
    """
    return list(in_stored_order(sorted(range(n), key=lambda number: _container_of(place_of(number))), place_of))


def in_stored_order(numbers: Iterable[int], place_of: Callable[[int], str]) -> Iterator[int]:
    """Yield the numbers of images, those of a container in the order in which it stores them; all others as they are.

    Parameters
    ----------
    numbers
        Those of one container follow one another.
    place_of
        Returns where an image is read: a file, or ``CONTAINER/MEMBER``.
    """
    for container, own in groupby(numbers, lambda number: _container_of(place_of(number))):
        if not container:
            yield from own
            continue
        kind = kind_of(container)
        if kind is not None and kind.is_sorted:
            yield from sorted(own, key=place_of)
            continue
        number_of = {place_of(number)[len(container) + 1 :]: number for number in own}
        for name in stored_names(container, number_of):
            yield number_of.pop(name)
        yield from number_of.values()  # gone, or behind a fault: reading them says so


def _container_of(place: str) -> str:
    """Return the container that an image lies in; ``""`` of a file."""
    inside = split_place("", place)
    return intern(inside[0]) if inside else ""
