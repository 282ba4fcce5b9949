"""Frames of videos: the one that is shown at a time, in whatever order they are asked for, whatever the format."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache.errors import ImageError, Malformed
from stackbone.extract.containers.kinds.video import frame_name
from stackbone.extract.containers.opening import open_container
from stackbone.extract.images.arrays import Arrays
from stackbone.extract.images.decode import decode
from tests.made.videos import make_video, number_of, picture, pixels_of

pytest.importorskip("av")

N, RATE = 75, 25
FORMS = {
    "h264.mp4": {"codec": "h264"},
    "open-groups.mp4": {"codec": "h264", "x264-params": "open-gop=1:bframes=3:keyint=20:log-level=none"},
    "mpeg4.avi": {"codec": "mpeg4"},
    "b-frames.mov": {"codec": "mpeg4", "bf": "2"},
    "vp9.webm": {"codec": "libvpx-vp9", "deadline": "realtime"},
    "h264.mkv": {"codec": "h264"},
    "mpeg2.mpg": {"codec": "mpeg2video", "bf": "2"},
    "h264.mts": {"codec": "h264", "form": "mpegts"},
    "h264.flv": {"codec": "h264"},
}


@pytest.fixture(scope="module", params=FORMS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name: str = request.param
    try:
        return make_video(tmp_path_factory.mktemp("video") / name, N, **FORMS[name])  # type: ignore[arg-type]
    except ValueError as exc:
        pytest.skip(f"FFmpeg has no such codec here: {exc}")


def name_at(number: int) -> str:
    return f"{number / RATE:010.3f}"


def test_every_frame_is_a_member_by_its_time(video: Path) -> None:
    container = open_container(str(video))
    names = [member.name for member in container.members()]
    assert [round(float(name) * RATE) for name in names] == list(range(N))
    assert [number_of(content) for _, content in container.stream(None)] == list(range(N))
    container.close()


def test_frames_are_read_in_any_order(video: Path) -> None:
    container = open_container(str(video))
    order = random.Random(0).sample(range(N), 30)
    found = {number: container.read(name_at(number)) for number in order}
    container.close()
    assert [number_of(found[number]) for number in order] == order
    again = open_container(str(video))
    assert {name_at(number): found[number] for number in order} == dict(again.stream({name_at(n) for n in order}))
    again.close()


def test_the_frame_that_is_shown_is_the_last_before_a_time(video: Path) -> None:
    container = open_container(str(video))
    assert number_of(container.read("000001.039")) == 25
    assert number_of(container.read("000001.040")) == 26
    assert number_of(container.read("000000.000")) == 0
    container.close()


def test_frames_side_by_side_out_of_order_are_the_right_ones(video: Path) -> None:
    container = open_container(str(video))
    order = [0, 10, 30, 20, 50, 40, 70, 60]
    assert [number_of(container.read(name_at(number))) for number in order] == order
    container.close()


def test_beyond_the_end_there_is_no_frame(video: Path) -> None:
    container = open_container(str(video))
    with pytest.raises(ImageError, match=r"its video ends after (3\.\d|2\.9)"):
        container.read("000004.000")
    assert number_of(container.read("000002.960")) == 74
    container.close()


@pytest.mark.parametrize("name", ["1.000", "000001", "000001.0", "-00001.000", "x", ""])
def test_what_is_no_time_is_no_frame(tmp_path: Path, name: str) -> None:
    container = open_container(str(make_video(tmp_path / "v.mp4", 5)))
    with pytest.raises(ImageError, match="no time in seconds"):
        container.read(name)
    container.close()


def test_a_frame_is_the_same_image_as_its_pixels_in_memory(tmp_path: Path) -> None:
    container = open_container(str(make_video(tmp_path / "v.mp4", 5)))
    content = container.read("000000.120")
    container.close()
    pixels = pixels_of(content)
    assert content == Arrays(pixels[None]).read(0)
    assert np.array_equal(np.asarray(decode(content)), pixels)
    assert np.abs(pixels.astype(int) - picture(3)).mean() < 8


def test_identity_is_pinned(tmp_path: Path) -> None:
    """Lossless pictures, so that the digest depends on the conversion of colours alone."""
    import av

    file = tmp_path / "v.mkv"
    with av.open(str(file), "w") as out:
        stream = out.add_stream("ffv1", rate=1)
        stream.width, stream.height, stream.pix_fmt = 144, 64, "yuv420p"
        planes = np.arange(64 * 3 // 2 * 144, dtype=np.uint32).reshape(96, 144) * 2654435761 >> 24
        frame = av.VideoFrame.from_ndarray(planes.astype(np.uint8), "yuv420p")
        for packet in [*stream.encode(frame), *stream.encode()]:
            out.mux(packet)
    container = open_container(str(file))
    digest = hashlib.sha256(container.read("000000.000")).hexdigest()
    container.close()
    assert digest == "cfb27ecfc22bf4c36d9e72eba94a7544cc3671ff0470d94c9706994db1734c86"


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_a_video_that_was_filmed_turned_is_upright(tmp_path: Path, rotation: int, turns: int) -> None:
    container = open_container(str(make_video(tmp_path / "v.mp4", 5, codec="h264", rotation=rotation)))
    pixels = pixels_of(container.read("000000.120"))
    container.close()
    expected = np.rot90(picture(3), turns)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 8


# --- what goes wrong ---------------------------------------------------------------------------------------


def test_a_video_that_is_cut_short_keeps_the_frames_before(tmp_path: Path) -> None:
    content = make_video(tmp_path / "v.avi", N).read_bytes()
    (tmp_path / "v.avi").write_bytes(content[: len(content) * 4 // 5])
    container = open_container(str(tmp_path / "v.avi"))
    found = dict(container.stream({name_at(number) for number in range(0, N, 5)}))
    assert [round(float(name) * RATE) for name in found] == [number_of(each) for each in found.values()]
    assert 3 < len(found) < 15
    with pytest.raises(ImageError, match=r"ends after|damaged"):
        container.read(name_at(70))
    container.close()


@pytest.mark.parametrize("content", [b"", b"no video", bytes(5000)])
def test_what_is_no_video_is_malformed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.mp4").write_bytes(content)
    with pytest.raises(Malformed):
        open_container(str(tmp_path / "v.mp4"))


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    make_video(tmp_path / "secret.mts", 5, form="mpegts", codec="mpeg2video")
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mts\n#EXT-X-ENDLIST\n"
    (tmp_path / "v.mp4").write_text(text)
    with pytest.raises(Malformed):
        open_container(str(tmp_path / "v.mp4"))
    (tmp_path / "v.mkv").write_text(f"ffconcat version 1.0\nfile {tmp_path}/secret.mts\n")
    with pytest.raises(Malformed):
        open_container(str(tmp_path / "v.mkv"))


def test_sound_alone_is_malformed(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "v.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 44100
        for packet in [*stream.encode(sound), *stream.encode()]:
            out.mux(packet)
    with pytest.raises(Malformed, match="it has no pictures"):
        open_container(str(tmp_path / "v.mp4"))


@pytest.mark.parametrize(("seconds", "name"), [(0, "000000.000"), (1.0004, "000001.000"), (3661.5, "003661.500")])
def test_names_are_times_in_milliseconds(seconds: float, name: str) -> None:
    from fractions import Fraction

    assert frame_name(Fraction(seconds)) == name
