"""Attention maps are those of the last block, and their pictures show them where they are."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from stackbone.cache import CacheError, UsageError
from stackbone.cache.disk.reading import ListedFile
from stackbone.extract.attention.maps import (
    AttentionPanels,
    attention_maps,
    attention_pictures,
    colour_map,
    fused_attention,
    patch_attention,
    write_pictures,
)
from stackbone.extract.backbones.backbone import BACKBONES, Transform
from stackbone.extract.methods.toast.module import ToastViT
from stackbone.extract.networks.network import FeatureNetwork

HEIGHT, WIDTH, PATCH, DIM, HEADS = 32, 48, 8, 48, 3
GRID = (4, 6)
TRANSFORM = Transform((HEIGHT, WIDTH), 1.0, "bicubic", "squash")


def steered(*, distilled: bool = False, **options: Any) -> ToastViT:  # noqa: ANN401 - timm's options
    """Return a steered ViT of random weights for images of 32 by 48 pixels."""
    kind = VisionTransformerDistilled if distilled else VisionTransformer
    vit = kind(
        img_size=(HEIGHT, WIDTH), patch_size=PATCH, embed_dim=DIM, depth=2, num_heads=HEADS, num_classes=0, **options
    )
    network = ToastViT(vit)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        network.xi.zero_()
        network.train()(images())
    return network.eval()


def images(n: int = 2) -> Tensor:
    return torch.randn((n, 3, HEIGHT, WIDTH), generator=torch.Generator().manual_seed(1))


def feature_network(body: nn.Module) -> FeatureNetwork:
    return FeatureNetwork(body, replace(BACKBONES["vit_base"], transform=TRANSFORM)).eval()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"photo{n}.png" for n in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.mark.parametrize("options", [{}, {"qk_norm": True}, {"reg_tokens": 4}, {"distilled": True}])
def test_attention_is_the_softmax_of_queries_and_keys_of_the_last_block(options: dict[str, Any]) -> None:
    network = steered(**options)
    last, seen = network.body.blocks[-1].attn, []
    hook = last.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.no_grad():
        network(images())
    hook.remove()
    maps = attention_maps(network, images())
    for found, x in zip((maps.plain, maps.steered), seen, strict=True):
        b, n, _ = x.shape
        q, k, _ = last.qkv(x).reshape(b, n, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)  # (B, heads, N, 16)
        scores = last.q_norm(q) @ last.k_norm(k).transpose(-2, -1) / (DIM // HEADS) ** 0.5
        torch.testing.assert_close(found, scores.softmax(-1).detach())
    n_prefix = network.body.num_prefix_tokens
    assert maps.plain.shape == (2, HEADS, n_prefix + 24, n_prefix + 24)
    assert (maps.plain - maps.steered).abs().max() > 1e-3
    assert maps.grid == GRID
    z = network.first_pass(network.embed(images()))
    torch.testing.assert_close(maps.similarity.flatten(1), network.similarity(z)[:, n_prefix:].detach())
    assert maps.similarity.shape == (2, *GRID)


def test_looking_at_attention_changes_nothing() -> None:
    network = steered()
    before, fused = network(images()), [block.attn.fused_attn for block in network.body.blocks]
    attention_maps(network, images())
    assert torch.equal(network(images()), before)
    assert [block.attn.fused_attn for block in network.body.blocks] == fused
    assert not any(part._forward_hooks for part in network.modules())


def test_fused_attention_is_switched_in_one_network_and_back_again() -> None:
    network, other = steered(), steered()
    network.body.blocks[0].attn.fused_attn = False
    expected = network(images())
    with fused_attention(network, enabled=False):
        assert [block.attn.fused_attn for block in network.body.blocks] == [False, False]
        assert [block.attn.fused_attn for block in other.body.blocks] == [True, True]
        torch.testing.assert_close(network(images()), expected)
    assert [block.attn.fused_attn for block in network.body.blocks] == [False, True]
    with pytest.raises(ValueError, match="unpack"), fused_attention(network, enabled=False):
        network(torch.zeros(2, 3))
    assert [block.attn.fused_attn for block in network.body.blocks] == [False, True]


@pytest.mark.parametrize(
    ("options", "queries"),
    [
        ({}, [0]),
        ({"distilled": True}, [0, 1]),
        ({"reg_tokens": 2, "global_pool": "avg"}, range(3, 27)),
        ({"class_token": False, "global_pool": "avg"}, range(24)),
    ],
    ids=["class token", "deit", "average of patches", "no class token"],
)
def test_attention_to_patches_is_that_of_what_the_features_are_made_of(
    options: dict[str, Any], queries: list[int]
) -> None:
    vit = steered(**options).body
    n = vit.num_prefix_tokens + 24
    attention = torch.rand((2, HEADS, n, n), generator=torch.Generator().manual_seed(0))
    expected = np.mean(attention.numpy()[:, :, list(queries), vit.num_prefix_tokens :], axis=(1, 2)).reshape(2, *GRID)
    np.testing.assert_allclose(patch_attention(vit, attention, GRID).numpy(), expected, rtol=1e-5)


def lightness(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return L of CIELAB, which OKLab's roughly agrees with, of sRGB colours (..., 3)."""
    x = colours / 255.0
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    result: NDArray[np.float64] = 116 * np.where(y > 0.008856, np.cbrt(y), 7.787 * y + 16 / 116) - 16
    return result


def test_equal_steps_of_the_value_are_about_equal_steps_of_lightness() -> None:
    ramp = np.linspace(0, 3, 16, dtype=np.float32)[None]
    colours = colour_map(ramp, (16, 1))
    assert colours.shape == (1, 16, 3)
    steps = np.diff(lightness(colours)[0])
    assert steps.min() > 0.7 * steps.mean()
    assert steps.max() < 1.3 * steps.mean()


def test_a_hot_token_lands_where_it_is() -> None:
    values = np.zeros(GRID, np.float32)
    values[1, 4] = 0.5
    colours = colour_map(values, (240, 160))
    assert colours.shape == (160, 240, 3)
    y, x = np.unravel_index(lightness(colours).argmax(), (160, 240))
    assert [int(y) // 40, int(x) // 40] == [1, 4]
    assert lightness(colours)[120:].max() == lightness(colours).min()


def test_a_map_of_zeros_is_dark() -> None:
    assert lightness(colour_map(np.zeros(GRID, np.float32), (6, 4))).max() < 20


def listed(file: Path) -> ListedFile:
    content = file.read_bytes() if file.is_file() else b"gone"
    return ListedFile(str(file.parent), file.name, hashlib.sha256(content).digest())


def test_pictures_show_image_and_maps_in_one_size(photos: list[Path]) -> None:
    network = feature_network(steered())
    pictures, skipped = attention_pictures(network, TRANSFORM, [listed(photo) for photo in photos])
    assert skipped == {}
    assert [picture.path for picture in pictures] == photos
    for picture in pictures:
        panels = (picture.image, picture.plain, picture.steered, picture.similarity)
        assert {(panel.shape, panel.dtype) for panel in panels} == {((224, 336, 3), np.dtype(np.uint8))}
        assert picture.side_by_side().shape == (224 + 20, 4 * 336 + 3 * 8, 3)

    pixels = np.array(Image.open(photos[1]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    maps = attention_maps(steered(), network.normalise(torch.from_numpy(pixels)[None]))
    attention = patch_attention(steered().body, maps.steered, GRID)[0].numpy()
    assert np.array_equal(pictures[1].steered, colour_map(attention, (336, 224)))
    assert pictures[1].largest[1] == attention.max()


def test_unreadable_images_are_named_and_skipped(photos: list[Path], tmp_path: Path) -> None:
    broken, absent = tmp_path / "broken.jpg", tmp_path / "absent.jpg"
    broken.write_bytes(b"no image")
    network = feature_network(steered())
    pictures, skipped = attention_pictures(
        network, TRANSFORM, [listed(photo) for photo in (photos[0], broken, absent, photos[2])]
    )
    assert [picture.path for picture in pictures] == [photos[0], photos[2]]
    assert list(skipped) == [broken, absent]
    assert "not an image" in skipped[broken]
    assert "No such file" in skipped[absent]
    assert attention_pictures(network, TRANSFORM, [listed(broken)]) == ([], {broken: skipped[broken]})


def test_more_images_than_a_batch_are_all_drawn(photos: list[Path]) -> None:
    network = feature_network(steered())
    pictures, _ = attention_pictures(network, TRANSFORM, [listed(photo) for photo in photos * 4])
    assert [picture.path for picture in pictures] == photos * 4
    alone, _ = attention_pictures(network, TRANSFORM, [listed(photos[1])])
    assert pictures[-2].largest == pytest.approx(alone[0].largest, rel=1e-4)


def test_a_network_without_steered_attention_is_refused(photos: list[Path]) -> None:
    plain = feature_network(steered().body)
    with pytest.raises(UsageError, match=r"this network is VisionTransformer.*--method toast"):
        attention_pictures(plain, TRANSFORM, [listed(photo) for photo in photos])


def picture(path: Path) -> AttentionPanels:
    rng = np.random.default_rng(0)
    image, plain, steered, similarity = rng.integers(0, 256, (4, 50, 60, 3), dtype=np.uint8)
    return AttentionPanels(path, image, plain, steered, similarity, (0.1, 0.2, 0.3))


def test_written_pictures_hold_the_panels_side_by_side_over_their_captions(tmp_path: Path) -> None:
    drawn = picture(Path("some/cat.jpg"))
    written = write_pictures([drawn, picture(Path("other/cat.jpg"))], tmp_path / "new" / "folder")
    assert [path.name for path in written] == ["001-cat.png", "002-cat.png"]
    sheet = np.array(Image.open(written[0]))
    panels = (drawn.image, drawn.plain, drawn.steered, drawn.similarity)
    for column, panel in enumerate(panels):
        left = column * 68
        assert np.array_equal(sheet[:50, left : left + 60], panel)
        assert sheet[50:, left : left + 60].min() < 128, "black letters"
    assert sheet[:50, 60:68].min() == 255


def test_long_names_are_cut(tmp_path: Path) -> None:
    (written,) = write_pictures([picture(Path("x" * 250 + ".jpg"))], tmp_path)
    assert written.name == f"001-{'x' * 50}.png"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match="file"):
        write_pictures([picture(Path("cat.jpg"))], tmp_path / "file" / "folder")
