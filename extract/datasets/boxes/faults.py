"""What is wrong with annotations, told in notes: each fault once, with how often it was met and where.

What makes a whole file useless, such as a name that no cache can keep, is an error where it was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from stackbone.cache.errors import DatasetError
from stackbone.cache.text import counted

NO_NUMBER = "whose corners are no numbers of pixels"
SWAPPED = "whose corners are swapped (right before left, or bottom above top)"
NO_AREA = "that have no area"
OUTSIDE = "that lie outside of their images"

_SHOWN = 3
_LONGEST = 60  # characters of a name in a note


@dataclass
class Faults:
    """Faults of annotations, gathered file by file.

    Attributes
    ----------
    images
        Files by what is wrong with an image's annotation, in words that follow "images": its boxes are not taken.
    boxes
        Files by what is wrong with a box, in words that follow "boxes", once for each such box: it is left out.
    whys
        What else to say of the first image of a fault, in sentences, by the words of `images`.
    cut
        Files of boxes that were cut at the edges of their images, once for each such box.
    """

    images: dict[str, list[str]] = field(default_factory=dict)
    boxes: dict[str, list[str]] = field(default_factory=dict)
    whys: dict[str, str] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)

    def of_image(self, what: str, file: str, why: str = "") -> None:
        """Count an image whose boxes are not taken; `why` is said of the first of its fault alone."""
        self.images.setdefault(what, []).append(file)
        self.whys.setdefault(what, f" {why}".rstrip())

    def of_box(self, what: str, file: str) -> None:
        """Count a box that is left out."""
        self.boxes.setdefault(what, []).append(file)

    @property
    def n_images(self) -> int:
        """How many images are without their boxes."""
        return sum(map(len, self.images.values()))

    def notes(self) -> Iterator[str]:
        """Yield what was found, a sentence each."""
        for what, files in self.images.items():
            n = counted(len(files), "image")
            yield f"The boxes of {n} are left out (images {what}): {named(files)}.{self.whys[what]}"
        for what, files in self.boxes.items():
            yield f"{counted(len(files), 'box', 'boxes')} left out (boxes {what}): in {named(files)}."
        if self.cut:
            n = counted(len(self.cut), "box", "boxes")
            yield f"{n} cut at the edges of images (boxes that reach beyond them): in {named(self.cut)}."


def none_sound(faults: Faults, where: str) -> DatasetError:
    """Return the error to raise where no annotation has boxes that can be taken."""
    message = (
        f"No annotation in {where!r} has boxes that can be taken. {' '.join(faults.notes())} Expected boxes within the "
        "images, left before right and top before bottom. Mend the annotations, or list the images with --no-labels."
    )
    return DatasetError(message)


def named(files: Sequence[str]) -> str:
    """Return the first names of a list, quoted, each once and none longer than a line takes."""
    distinct = list(dict.fromkeys(files))
    shown = [repr(name if len(name) <= _LONGEST else f"...{name[3 - _LONGEST :]}") for name in distinct[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(distinct) > _SHOWN else "")


def name_problem(name: object) -> str:
    """Return what is wrong with a name of a class that cannot be kept, after "it holds"; else ``""``."""
    if type(name) is not str or not name.strip():
        return "no name" if name is None or name == "" else f"the name {shown(name)}"
    if "\0" in name:
        return f"the name {shown(name)}, which holds a zero byte"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # half of a pair of UTF-16
        return f"the name {shown(name)}, which holds half of a character"
    return ""


def shown(value: object) -> str:
    """Return a value of a file as a message shows it: in one line, printable, and not long."""
    text = ascii(value[:60] if isinstance(value, str) else value) if not isinstance(value, list | dict) else ""
    return text[:80] or f"a JSON {type(value).__name__}"
