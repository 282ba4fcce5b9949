"""Which library reads a photograph fastest, and which of them gives the pixels of timm's evaluation transform.

Each candidate takes a JPEG file's bytes to the uint8 input of a 224-pixel network (bicubic, crop 0.875). Shown are
milliseconds an image on one thread, the largest difference from the reference in levels of 255, and the share of values
that differ by more than one. A second table does the same for large photographs decoded at reduced scale (the DCT
scaling of JPEG). ``python bench/decode.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from machine import add_folder, arguments, report
from stackbone.extract.backbones.backbone import Transform
from stackbone.extract.images.decode import apply_transform, decode

Pixels = NDArray[np.uint8]
_SIZE, _SCALED = 224, 256
_TRANSFORM = Transform((_SIZE, _SIZE), 0.875, "bicubic")


def reference(content: bytes) -> Pixels:
    """Return what torchvision's Resize and CenterCrop on a Pillow image give: timm's evaluation transform."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    width, height = picture.size
    size = (_SCALED, int(_SCALED * height / width)) if width <= height else (int(_SCALED * width / height), _SCALED)
    return np.asarray(_crop(picture.resize(size, Image.Resampling.BICUBIC)))


def stackbone(content: bytes) -> Pixels:
    """Return the project's own pixels."""
    return apply_transform(decode(content), _TRANSFORM)


def torchvision_resize(content: bytes) -> Pixels:
    """Decode with Pillow, resize with torchvision's antialiased uint8 kernel."""
    import torch
    from torchvision.transforms.v2 import functional

    pixels = torch.from_numpy(np.array(Image.open(io.BytesIO(content)).convert("RGB"))).permute(2, 0, 1)
    bicubic = functional.InterpolationMode.BICUBIC
    resized = functional.resize(pixels, [_SCALED], interpolation=bicubic, antialias=True)
    return np.asarray(functional.center_crop(resized, [_SIZE, _SIZE]).permute(1, 2, 0))


def torchvision_whole(content: bytes) -> Pixels:
    """Decode and resize with torchvision."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2 import functional

    pixels = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
    bicubic = functional.InterpolationMode.BICUBIC
    resized = functional.resize(pixels, [_SCALED], interpolation=bicubic, antialias=True)
    return np.asarray(functional.center_crop(resized, [_SIZE, _SIZE]).permute(1, 2, 0))


def simplejpeg_pillow(content: bytes) -> Pixels:
    """Decode with simplejpeg (libjpeg-turbo), resize as the project does."""
    import simplejpeg

    return apply_transform(Image.fromarray(simplejpeg.decode_jpeg(content)), _TRANSFORM)


def opencv_area(content: bytes) -> Pixels:
    """Decode and resize with OpenCV, by INTER_AREA, its way against aliasing."""
    import cv2

    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    pixels = cv2.cvtColor(np.asarray(decoded, np.uint8), cv2.COLOR_BGR2RGB)
    ratio = _SCALED / min(pixels.shape[:2])
    size = (max(_SIZE, int(pixels.shape[1] * ratio)), max(_SIZE, int(pixels.shape[0] * ratio)))
    return np.asarray(
        _crop(Image.fromarray(np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)))
    )


def reduced(content: bytes) -> Pixels:
    """Decode at the smallest DCT scale that keeps twice the needed side, then resize."""
    picture = Image.open(io.BytesIO(content))
    picture.draft("RGB", (2 * _SCALED, 2 * _SCALED))
    return apply_transform(picture.convert("RGB"), _TRANSFORM)


CANDIDATES: dict[str, Callable[[bytes], Pixels]] = {
    "reference (Pillow, timm's transform)": reference,
    "Stackbone (Pillow)": stackbone,
    "Pillow + torchvision resize": torchvision_resize,
    "torchvision decode + resize": torchvision_whole,
    "simplejpeg + Pillow resize": simplejpeg_pillow,
    "OpenCV, INTER_AREA": opencv_area,
}


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    add_folder(parser, "--photos", "data/clothing-small", "a folder of JPEG files")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    files = sorted(options.photos.rglob("*.jpg"))
    contents = [path.read_bytes() for path in files[:: max(1, len(files) // (20 if options.quick else 200))]]
    large = [_enlarge(content, 12_000_000) for content in contents[: 3 if options.quick else 12]]
    rounds = 2 if options.quick else options.rounds
    header = ["candidate", "ms an image", "largest difference", "differ by more than 1"]
    small_rows, small = measure(CANDIDATES, contents, rounds)
    report(f"{len(contents)} photographs as they are, one thread, median of {rounds}", header, small_rows, small, None)
    at_scale = {"reference (Pillow, timm's transform)": reference, "Stackbone (Pillow)": stackbone, "reduced": reduced}
    large_rows, big = measure(at_scale, large, rounds)
    figures = {"photographs": small, "12 megapixels": big}
    report(f"{len(large)} photographs enlarged to 12 megapixels", header, large_rows, figures, options.json)


def measure(
    candidates: Mapping[str, Callable[[bytes], Pixels]], contents: list[bytes], rounds: int
) -> tuple[list[list[str]], dict[str, dict[str, float]]]:
    """Return table rows and figures; candidates take turns."""
    expected = [reference(content).astype(np.int16) for content in contents]
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            try:
                started = time.perf_counter()
                for content in contents:
                    candidate(content)
                times.setdefault(name, []).append((time.perf_counter() - started) / len(contents) * 1e3)
            except ImportError as exc:
                print(f"{name}: {exc}", file=sys.stderr)
    rows, figures = [], {}
    for name, found in times.items():
        apart = [np.abs(candidates[name](c).astype(np.int16) - e) for c, e in zip(contents, expected, strict=True)]
        figures[name] = {
            "ms": float(np.median(found)),
            "largest": float(max(each.max() for each in apart)),
            "over_one": float(np.mean([(each > 1).mean() for each in apart])),
        }
        each = figures[name]
        rows.append([name, f"{each['ms']:.2f}", f"{each['largest']:.0f}", f"{each['over_one']:.3%}"])
    return rows, figures


def _enlarge(content: bytes, n_pixels: int) -> bytes:
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    ratio = (n_pixels / (picture.width * picture.height)) ** 0.5
    size = (round(picture.width * ratio), round(picture.height * ratio))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=92)
    return file.getvalue()


def _crop(picture: Image.Image) -> Image.Image:
    left, top = round((picture.width - _SIZE) / 2.0), round((picture.height - _SIZE) / 2.0)
    return picture.crop((left, top, left + _SIZE, top + _SIZE))


if __name__ == "__main__":
    main()
