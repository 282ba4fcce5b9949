"""Videos. A member's name is a time in seconds, ``000042.000``; its image is the frame that is shown then."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from fractions import Fraction
from typing import BinaryIO

from stackbone.cache.errors import ImageError, StackboneError
from stackbone.extract.containers.container import Container, ContainerKind, Member
from stackbone.extract.containers.frames import Frames

_NAME = re.compile(r"(\d{6,})\.(\d{3})", re.ASCII)
_KEPT = 8  # frames: threads that decode side by side ask for them a little out of order


def frame_name(time: Fraction) -> str:
    """Return the name of the frame that is shown at a time in seconds; it is rounded to milliseconds."""
    seconds, thousandths = divmod(round(time * 1000), 1000)
    return f"{seconds:06}.{thousandths:03}"


def open_video(stream: BinaryIO, name: str) -> Frames:
    """Return the frames of a video; `Malformed` if it is none, `StackboneError` if PyAV is not installed."""
    if importlib.util.find_spec("av") is None:
        msg = (
            f"Reading {name!r} needs PyAV, which is not installed here. Run: pip install 'stackbone[video]', or save "
            "its frames as images."
        )
        raise StackboneError(msg)
    return Frames(stream)


class Video:
    """A video as a container.

    Parameters
    ----------
    frames
        Its frames.
    stream
        Closed with it.
    """

    def __init__(self, frames: Frames, stream: BinaryIO) -> None:
        self._frames = frames
        self._file = stream
        self._kept: dict[str, bytes] = {}
        self._asked, self._step = Fraction(-1), Fraction(0)

    def members(self) -> Iterator[Member]:
        """Yield every frame; the file is read, and nothing decoded."""
        for name in dict.fromkeys(map(frame_name, self._frames.times())):
            yield Member(name, None)

    def stream(self, wanted: AbstractSet[str] | None) -> Iterator[tuple[str, bytes]]:
        """Yield names and pixels of frames in the order of their times; what cannot be decoded is passed over."""
        names = {each.name for each in self.members()} if wanted is None else wanted
        for name in sorted(names, key=lambda each: (len(each), each)):
            try:
                content = self.read(name)
            except ImageError:
                continue
            yield name, content

    def read(self, name: str) -> bytes:
        """Return the pixels of the frame that is shown at a time; `ImageError` if none is, or it is damaged."""
        if name in self._kept:
            return self._kept[name]
        found = _NAME.fullmatch(name)
        if found is None:
            message = "it is no time in seconds, so its video has no such frame"
            raise ImageError(message)
        time = int(found[1]) + Fraction(int(found[2]), 1000)
        # Frames that are passed on the way, and that are likely to be asked for next.
        between = self._asked + self._step
        while self._step and self._asked < between < time <= self._asked + _KEPT * self._step:
            self._keep(between)
            between += self._step
        ahead = time - self._asked
        self._step = min(self._step or ahead, ahead) if ahead > 0 else self._step
        self._asked = time
        return self._keep(time)

    def close(self) -> None:
        """Close it, and the file that it was opened on."""
        self._kept.clear()
        self._frames.close()
        self._file.close()

    def _keep(self, time: Fraction) -> bytes:
        name = frame_name(time)
        content = self._kept[name] = self._frames.at(time)
        while len(self._kept) > _KEPT:
            self._kept.pop(next(iter(self._kept)))
        return content


def _open(stream: BinaryIO, name: str) -> Container:
    return Video(open_video(stream, name), stream)


KIND = ContainerKind(
    "video",
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mts", ".m2ts", ".3gp", ".wmv", ".flv"),
    "a video",
    _open,
    most_open=2,
    is_sorted=True,
)
