"""Frames of a video, by the times at which they are shown.

A frame's bytes are those of an image in memory (`images.arrays`): its pixels as upright RGB, so that what was decoded
has a digest, and the same picture in memory is the same image. swscale converts colours, with the flags that make it
give the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from stackbone.cache.disk.array_form import array_bytes
from stackbone.cache.errors import ImageError, Malformed

# Formats that hold their own pictures. Others, such as playlists, name further files, which are not to be opened.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf"
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", re.ASCII)
_HALF = Fraction(1, 2000)  # of the millisecond to which times are rounded
_MARGIN = 1  # seconds further back than needed: the first frames after a leap may refer to some before it
_FAR = 10  # seconds ahead from which on it pays to leap


class Frames:
    """The frames of a video. Times are seconds from the first one.

    Parameters
    ----------
    stream
        Seekable; stays open.

    Raises
    ------
    Malformed
        If it is no video in a format that holds its own pictures, or has none.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._opened: Any = None
        self._video: Any = None
        self._ahead: Iterator[tuple[Fraction, Any]] = iter(())
        self._shown: tuple[Fraction, Any] | None = None
        self._next: tuple[Fraction, Any] | None = None
        self._start = Fraction(0)
        self._open()

    @property
    def duration(self) -> Fraction | None:
        """How long its pictures last, as its header says; None if that says it of the file alone, or not at all."""
        if self._video.duration:
            return Fraction(self._video.duration) * Fraction(self._video.time_base)
        said = _DURATION.fullmatch(self._video.metadata.get("DURATION", ""))
        return int(said[1]) * 3600 + int(said[2]) * 60 + Fraction(said[3]) - self._start if said else None

    def times(self) -> list[Fraction]:
        """Return the times of all frames, sorted: the whole file is read, and nothing decoded."""
        self._open()
        with _translated():
            stamps = [each.pts if each.pts is not None else each.dts for each in self._opened.demux(self._video)]
        self._open()
        times = {each * self._video.time_base - self._start for each in stamps if each is not None}
        return sorted(each for each in times if each >= 0)

    def at(self, time: Fraction) -> bytes:
        """Return the frame that is shown at a time, give or take half a millisecond, as an image file of our own.

        Raises
        ------
        ImageError
            If the video ends before, or the frame is damaged.
        Malformed
            If the video is.
        """
        shown = self._shown
        if shown is None or not shown[0] - _HALF <= time <= shown[0] + _FAR:
            self._leap(time - _MARGIN)
            if self._shown is None or self._shown[0] > time:  # where the format has no index
                self._leap(Fraction(0))
        while self._next is not None and self._next[0] <= time + _HALF:
            self._step()
        if self._shown is None:
            message = "its video has no frames that can be decoded"
            raise ImageError(message)
        if self._next is None and time > (end := self._end()):
            message = f"its video ends after {float(end):.3f} seconds"
            raise ImageError(message)
        return _upright(self._shown[1])

    def close(self) -> None:
        """Close it, but for the stream."""
        self._ahead, self._shown, self._next = iter(()), None, None
        if self._opened is not None:
            self._opened.close()

    def _open(self) -> None:
        """Begin at the start of the file: not every format finds back to it."""
        import av

        self.close()
        self._stream.seek(0)
        with _translated():
            self._opened = av.open(self._stream, options={"format_whitelist": _FORMATS})
        if not self._opened.streams.video:
            message = "it has no pictures"
            raise Malformed(message)
        self._video = self._opened.streams.video[0]
        self._video.thread_type = "AUTO"
        self._start = Fraction(self._video.start_time or 0) * self._video.time_base

    def _leap(self, time: Fraction) -> None:
        """Go to the last frame before a time that refers to no other; to the very first one at no time."""
        if time <= 0:
            self._open()
        else:
            with _translated():
                self._opened.seek(int((time + self._start) / self._video.time_base), stream=self._video)
        self._shown = self._next = None
        self._ahead = self._decode()
        self._step()
        self._step()

    def _step(self) -> None:
        self._shown, self._next = self._next or self._shown, next(self._ahead, None)

    def _decode(self) -> Iterator[tuple[Fraction, Any]]:
        with _translated():
            for frame in self._opened.decode(self._video):
                if frame.pts is not None:
                    yield frame.pts * frame.time_base - self._start, frame

    def _end(self) -> Fraction:
        """Return when the frame that is shown ends, the last one."""
        time, frame = self._shown or (Fraction(0), None)
        rate = self._video.average_rate or 1
        lasts = Fraction(getattr(frame, "duration", 0) or 0) * Fraction(self._video.time_base)
        return time + max(lasts, 1 / Fraction(rate)) + _HALF


def _upright(frame: Any) -> bytes:  # noqa: ANN401 - PyAV has no types for all of it
    """Return a frame as an image file of our own, turned as its video says."""
    from av.video.reformatter import Interpolation

    if frame.is_corrupt:
        message = "its frame is damaged"
        raise ImageError(message)
    exact = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    with _translated():
        pixels = frame.reformat(format="rgb24", interpolation=exact).to_ndarray()
    turned = np.rot90(pixels, round(frame.rotation / 90))
    return array_bytes(turned.shape[1], turned.shape[0], np.ascontiguousarray(turned).tobytes())


@contextmanager
def _translated() -> Iterator[None]:
    """Raise `Malformed` in the place of what FFmpeg says of a damaged file."""
    import av

    try:
        yield
    except av.error.FFmpegError as exc:
        raise Malformed(str(exc.strerror or exc)) from exc
