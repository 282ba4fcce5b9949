"""What a ViT looks at, without and with its steering: attention maps in numbers and in pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn

from stackbone.cache import ImageError, UsageError
from stackbone.cache.disk.output_file import write_output
from stackbone.cache.disk.reading import ListedFile
from stackbone.extract.backbones.backbone import Transform
from stackbone.extract.containers.reading import read_listed_image
from stackbone.extract.images.decode import apply_transform, decode, quiet_pillow
from stackbone.extract.images.limits import Limits
from stackbone.extract.methods.toast.module import ToastViT
from stackbone.extract.networks.network import FeatureNetwork

_LIMITS = Limits(allow_truncated=True)  # the network was trained on what there is of such images
_BATCH = 8  # all heads' maps of all blocks in float32 are some 25 MB an image for a ViT-B
_SIDE = 224  # of a panel, in pixels, at least
_GAP, _CAPTION, _FONT = 8, 20, 13  # in pixels


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """What the last block attends to, and what is selected.

    Attributes
    ----------
    plain, steered
        Attention of the last block in the first and second pass, (B, heads, N, N): rows are queries, and sum to one.
    similarity
        clamp(cos(xi, z_i), 0, 1) of the first pass at the patches, (B, h, w).
    grid
        (h, w), in patches; the N tokens are the prefix tokens and then the h * w patches row by row.
    """

    plain: Tensor
    steered: Tensor
    similarity: Tensor
    grid: tuple[int, int]


@dataclass(frozen=True, eq=False)
class AttentionPanels:
    """One image with its maps, as panels of equal size, (height, width, 3) uint8.

    Attributes
    ----------
    path
        Of the image.
    image
        What the network saw of it.
    plain, steered
        Attention of the last block, mean over heads, from the tokens that the features are made of to the patches;
        coloured from 0 to its own largest value.
    similarity
        Similarity of each patch to the task embedding, coloured likewise.
    largest
        Of the three maps, in this order; the first two are shares of attention per patch.
    """

    path: Path
    image: NDArray[np.uint8]
    plain: NDArray[np.uint8]
    steered: NDArray[np.uint8]
    similarity: NDArray[np.uint8]
    largest: tuple[float, float, float]

    def side_by_side(self) -> NDArray[np.uint8]:
        """Return the four panels in a row with their captions below, black on white, (H, W, 3) uint8."""
        names = ("plain attention", "steered attention", "token similarity")
        captions = ["image", *(f"{name}, max {value:.2g}" for name, value in zip(names, self.largest, strict=True))]
        height, width, _ = self.image.shape
        sheet = Image.new("RGB", (4 * width + 3 * _GAP, height + _CAPTION), "white")
        draw = ImageDraw.Draw(sheet)
        font = ImageFont.load_default(_FONT)
        panels = (self.image, self.plain, self.steered, self.similarity)
        for column, (panel, caption) in enumerate(zip(panels, captions, strict=True)):
            left = column * (width + _GAP)
            sheet.paste(Image.fromarray(panel), (left, 0))
            draw.text((left + width / 2, height + _CAPTION / 2), caption, fill="black", font=font, anchor="mm")
        return np.array(sheet)


@contextmanager
def fused_attention(network: nn.Module, *, enabled: bool) -> Iterator[None]:
    """Switch fused attention on or off in the attention modules of one network, until the end of the ``with``.

    timm's own `set_fused_attn` is global and holds only for networks made after it.
    """
    parts: list[Any] = [part for part in network.modules() if hasattr(part, "fused_attn")]
    before = [part.fused_attn for part in parts]
    try:
        for part in parts:
            part.fused_attn = enabled
        yield
    finally:
        for part, value in zip(parts, before, strict=True):
            part.fused_attn = value


@torch.no_grad()
def attention_maps(network: ToastViT, x: Tensor) -> AttentionMaps:
    """Return the attention of the last block per head, plain and steered, and the token similarity.

    Parameters
    ----------
    x
        Normalised images (B, 3, H, W).
    """
    vit = network.body
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, attention: Tensor) -> None:
        seen.append(attention)

    # Unfused, timm's attention passes its softmaxed matrix through this dropout, which is idle here.
    hook = vit.blocks[-1].attn.attn_drop.register_forward_hook(keep)
    try:
        with fused_attention(vit, enabled=False):
            tokens = network.embed(x)
            z = network.first_pass(tokens)
            network.second_pass(tokens, network.feed_back(network.selection(z)))
    finally:
        hook.remove()
    plain, steered = seen
    h, w = vit.patch_embed.dynamic_feat_size(x.shape[-2:])
    similarity = network.similarity(z)[:, vit.num_prefix_tokens :]  # (B, h * w)
    return AttentionMaps(plain, steered, similarity.reshape(-1, h, w), (h, w))


def patch_attention(vit: nn.Module, attention: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return the attention paid to each patch, (B, h, w), mean over heads and over what the features are made of.

    That is the class token, DeiT's two tokens, or, in networks that pool otherwise, every patch.

    Parameters
    ----------
    attention
        Of one block, (B, heads, N, N).
    """
    body = cast("Any", vit)
    n_prefix = int(body.num_prefix_tokens)
    if isinstance(vit, VisionTransformerDistilled):
        queries = attention[:, :, :2]
    elif body.global_pool == "token":
        queries = attention[:, :, :1]
    else:
        queries = attention[:, :, n_prefix:]
    return queries[..., n_prefix:].mean((1, 2)).reshape(-1, *grid)


def attention_pictures(
    network: FeatureNetwork, transform: Transform, files: Sequence[ListedFile]
) -> tuple[list[AttentionPanels], dict[Path, str]]:
    """Return the maps of image files as pictures, and of each file that could not be read, or was changed, why not.

    Parameters
    ----------
    network
        Of a backbone steered by TOAST.
    transform
        Its evaluation transform.

    Raises
    ------
    UsageError
        If the network is not a ViT steered by TOAST.
    """
    toast = network.body
    if not isinstance(toast, ToastViT):
        message = (
            f"attention maps are drawn of a ViT that TOAST steers, and this network is {type(toast).__name__}. "
            "Leave --pictures out, or steer a ViT with --method toast or toast-lite"
        )
        raise UsageError(message)
    skipped: dict[Path, str] = {}
    readable: list[tuple[Path, NDArray[np.uint8]]] = []
    with quiet_pillow():
        for file in files:
            try:
                readable.append(
                    (Path(file.place), apply_transform(decode(read_listed_image(file), limits=_LIMITS), transform))
                )
            except ImageError as exc:
                skipped[Path(file.place)] = str(exc)
    pictures: list[AttentionPanels] = []
    toast.eval()
    for start in range(0, len(readable), _BATCH):
        pictures.extend(_draw(network, toast, readable[start : start + _BATCH]))
    return pictures, skipped


def _draw(
    network: FeatureNetwork, toast: ToastViT, images: Sequence[tuple[Path, NDArray[np.uint8]]]
) -> Iterator[AttentionPanels]:
    pixels = torch.from_numpy(np.stack([pixels for _, pixels in images])).to(network.scale.device)
    maps = attention_maps(toast, network.normalise(pixels))
    plain = patch_attention(toast.body, maps.plain, maps.grid).float().cpu().numpy()
    steered = patch_attention(toast.body, maps.steered, maps.grid).float().cpu().numpy()
    similarity = maps.similarity.float().cpu().numpy()
    for (path, image), *values in zip(images, plain, steered, similarity, strict=True):
        height, width = image.shape[:2]
        enlarged = math.ceil(_SIDE / min(height, width))
        size = (enlarged * width, enlarged * height)
        first, second, third = (colour_map(value, size) for value in values)
        yield AttentionPanels(
            path=path,
            image=np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)),
            plain=first,
            steered=second,
            similarity=third,
            largest=(float(values[0].max()), float(values[1].max()), float(values[2].max())),
        )


def colour_map(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a map (h, w) of values from 0 up as colours, (height, width, 3) uint8, for a size of (width, height).

    It is enlarged bilinearly. Zero is dark blue, the largest value light yellow; between them, equal steps of the
    value are equal steps of perceived lightness: a straight line in L of the OKLab space, sRGB by its matrices
    (Ottosson 2020, "A perceptual color space for image processing").
    """
    top = float(values.max())
    scaled = np.asarray(values, np.float32) / (top if top > 0 else 1.0)
    t = np.asarray(Image.fromarray(scaled).resize(size, Image.Resampling.BILINEAR), np.float64).clip(0, 1)
    hue = np.deg2rad(280.0 - 175.0 * t)  # blue, green, yellow
    chroma = 0.11 + 0.03 * t
    lab = np.stack([0.22 + 0.73 * t, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    cone = (lab @ _LAB_TO_CONE.T) ** 3
    linear = (cone @ _CONE_TO_RGB.T).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray((255 * srgb).round(), np.uint8)


_LAB_TO_CONE = np.array(
    [[1.0, 0.3963377774, 0.2158037573], [1.0, -0.1055613458, -0.0638541728], [1.0, -0.0894841775, -1.2914855480]]
)
_CONE_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def write_pictures(pictures: Sequence[AttentionPanels], folder: Path) -> list[Path]:
    """Write each picture's panels side by side as ``NNN-NAME.png`` into `folder`; return the files in order.

    Raises
    ------
    CacheError
        If the folder cannot be made or written to.
    """
    written = []
    for number, picture in enumerate(pictures, start=1):
        content = io.BytesIO()
        Image.fromarray(picture.side_by_side()).save(content, "PNG")
        # A part of the name: with the number before it, a long one would exceed what file systems take.
        path = folder / f"{number:03d}-{picture.path.stem[:50]}.png"
        write_output(path, content.getvalue())
        written.append(path)
    return written
