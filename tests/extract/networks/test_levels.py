"""A pyramid's maps are timm's own features, lie over the image as its boxes do, and are equal by all engines."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import UsageError
from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.extract.backbones.backbone import Backbone, get_backbone
from stackbone.extract.backbones.outputs import DEFAULT_MAP_SIZE, OutputForm, checked_map_size
from stackbone.extract.backbones.weights import random_weights
from stackbone.extract.engines import graphs
from stackbone.extract.engines.batches import bounded_batch, usual_batch
from stackbone.extract.engines.engine import (
    OpenVinoEngine,
    TorchEngine,
    make_engine,
)
from stackbone.extract.engines.network import build_outputs
from stackbone.extract.images.decode import letterboxed
from stackbone.extract.networks.forms import forms_of, list_forms
from stackbone.extract.networks.network import build_body, plain_network
from tests.made.networks import relative

RESNET = get_backbone("timm:test_resnet.r160_in1k")
VIT = get_backbone("timm:test_vit.r160_in1k")
OUTPUT = ("pyramid",)


def maps_of(form: OutputForm, row: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    ends = np.cumsum([part.n_columns for part in form.row.parts])[:-1]
    pieces = np.split(row, ends, axis=-1)
    return [piece.reshape(-1, *shape) for piece, shape in zip(pieces, form.row.map_shapes, strict=True)]


def torch_maps(backbone: Backbone, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    engine = TorchEngine(backbone, random_weights(0), "cpu", outputs=OUTPUT)
    return maps_of(engine.forms[0], engine.embed(pixels)[0])


def pixels_of(side: int, n: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


SHAPES = {
    "efficientnet_lite0": ((52, 52, 40), (26, 26, 112), (13, 13, 320)),
    "resnet50": ((52, 52, 512), (26, 26, 1024), (13, 13, 2048)),
    "vgg19": ((52, 52, 512), (26, 26, 512), (13, 13, 512)),
    "inception_v3": ((52, 52, 288), (26, 26, 768), (13, 13, 2048)),
    "xception": ((52, 52, 256), (26, 26, 728), (13, 13, 2048)),
    "vit_base": ((26, 26, 768),),
}


@pytest.mark.parametrize("name", SHAPES)
def test_maps_cover_the_frame_evenly_whatever_the_network_pads(name: str) -> None:
    [form] = forms_of(get_backbone(name).framed(416), OUTPUT)
    assert form.row.map_shapes == SHAPES[name]
    assert (form.dtype, form.row_bytes) == ("float16", 2 * sum(h * w * d for h, w, d in SHAPES[name]))
    assert [part.name for part in form.row.parts] == [f"stride{416 // shape[0]}" for shape in SHAPES[name]]
    assert form.row.problem(form.n_columns) == ""
    assert OutputForm.from_dict(form.to_dict()) == form


def test_what_is_listed_is_of_the_usual_frame() -> None:
    forms, _ = list_forms(get_backbone("efficientnet_lite0"))
    [form] = [form for form in forms if form.output == "pyramid"]
    assert (DEFAULT_MAP_SIZE, form.row.map_shapes) == (416, SHAPES["efficientnet_lite0"])


def test_maps_are_those_that_timm_itself_gives() -> None:
    backbone, pixels = RESNET.framed(96), pixels_of(96)
    body = plain_network(build_body(backbone, random_weights(0)))
    reference = timm.create_model("test_resnet", features_only=True, out_indices=(2, 3, 4)).eval()
    own = {name: value for name, value in body.state_dict().items() if name in reference.state_dict()}
    reference.load_state_dict(own)
    mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
    x = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = [each.permute(0, 2, 3, 1).numpy() for each in reference(x)]
    found = torch_maps(backbone, pixels)
    assert [each.shape for each in found] == [(2, 12, 12, 48), (2, 6, 6, 192), (2, 3, 3, 96)]
    assert all(relative(each, other) < 1e-4 for each, other in zip(found, expected, strict=True))


def test_lost_cells_get_the_features_of_those_nearest_to_them() -> None:
    backbone = get_backbone("inception_v3").framed(128)
    pixels = pixels_of(128, 1)
    body: Any = plain_network(build_body(backbone, random_weights(0)))
    seen: dict[str, Any] = {}
    body.Mixed_5d.register_forward_hook(lambda _module, _inputs, result: seen.update(map=result))
    mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
    with torch.no_grad():
        body.forward_features(((torch.from_numpy(pixels) / 255 - mean) / std).permute(0, 3, 1, 2))
    own = seen["map"][0].permute(1, 2, 0).numpy()
    fine = torch_maps(backbone, pixels)[0][0]
    assert (own.shape[0], fine.shape[0]) == (13, 16)
    assert relative(fine[1:14, 1:14], own) < 1e-4
    np.testing.assert_array_equal(fine[0], fine[1])
    np.testing.assert_array_equal(fine[:, 15], fine[:, 13])


@pytest.mark.parametrize("place", [(100, 60), (300, 150), (40, 190), (388, 12)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_object_lights_up_the_cells_that_its_box_lies_on(place: tuple[int, int], *, mirrored: bool) -> None:
    backbone = RESNET.framed(256)
    empty = Image.new("RGB", (400, 200), (120, 110, 100))
    drawn = empty.copy()
    x, y = place
    box = np.array([[x - 10, y - 10, x + 10, y + 10]], np.float32)
    drawn.paste((250, 30, 200), tuple(box[0].astype(int).tolist()))
    frames = np.stack([letterboxed(each, backbone.transform) for each in (empty, drawn)])
    left, top, right, bottom = Letterbox(400, 200, 256).to_frame(box)[0]
    if mirrored:
        frames = np.ascontiguousarray(frames[:, :, ::-1])
        left, right = 256 - right, 256 - left
    for stride, maps in zip((8, 16, 32), torch_maps(backbone, frames), strict=True):
        change = np.linalg.norm(maps[1] - maps[0], axis=-1)
        row, column = np.unravel_index(int(change.argmax()), change.shape)
        # The cell that changes most reaches into the box, or is its neighbour.
        assert left - stride <= column * stride + stride / 2 <= right + stride
        assert top - stride <= row * stride + stride / 2 <= bottom + stride


def test_a_vit_has_one_map_at_the_stride_of_its_patches() -> None:
    pixels = pixels_of(224)
    [found] = torch_maps(VIT.framed(224), pixels)
    assert found.shape == (2, 14, 14, 64)
    engine = build_outputs(VIT.framed(224), random_weights(0), OUTPUT)
    body: Any = engine.network.body
    with torch.no_grad():
        tokens = body.forward_features(engine.network.normalise(torch.from_numpy(pixels)))
    n_prefix = cast("int", body.num_prefix_tokens)
    np.testing.assert_allclose(found.reshape(2, -1, 64), tokens[:, n_prefix:].numpy(), rtol=1e-5, atol=1e-6)


def test_a_frame_that_patches_do_not_fill_is_refused_with_what_the_network_has() -> None:
    patch14 = get_backbone("timm:vit_small_patch14_dinov2.lvd142m")
    assert forms_of(patch14.framed(448), OUTPUT)[0].row.map_shapes == ((32, 32, 384),)
    with pytest.raises(
        UsageError, match=r"has no pyramid of images of 416 x 416 pixels: its patches of 14 do not.* --map-size 448"
    ):
        forms_of(patch14.framed(416), OUTPUT)


@pytest.mark.parametrize("backbone", [RESNET.framed(96), VIT.framed(96)], ids=["maps", "tokens"])
def test_both_engines_give_the_same_maps_of_any_batch(backbone: Backbone, tmp_path: Any, monkeypatch: Any) -> None:  # noqa: ANN401
    monkeypatch.setenv("STACKBONE_GRAPHS", str(tmp_path))
    pixels = pixels_of(96, 3)
    expected = TorchEngine(backbone, random_weights(0), "cpu", outputs=OUTPUT).embed(pixels)[0]
    engine = OpenVinoEngine(backbone, random_weights(0), outputs=OUTPUT)
    assert relative(engine.embed(pixels)[0], expected) < 1e-4
    assert relative(engine.embed(pixels[1:2])[0], expected[1:2]) < 1e-4
    monkeypatch.setattr(graphs, "convert_graph", None)  # the kept graph serves
    again = OpenVinoEngine(backbone, random_weights(0), outputs=OUTPUT)
    assert again.forms == engine.forms
    assert relative(again.embed(pixels)[0], expected) < 1e-4


def test_a_graph_of_another_frame_does_not_serve(tmp_path: Any, monkeypatch: Any) -> None:  # noqa: ANN401
    monkeypatch.setenv("STACKBONE_GRAPHS", str(tmp_path))
    for side in (64, 96):
        engine = make_engine(RESNET.framed(side), random_weights(0), "openvino", outputs=OUTPUT)
        assert engine.forms[0].row.map_shapes[0] == (side // 8, side // 8, 48)
    assert len(list(tmp_path.glob("*.json"))) == 2


@pytest.mark.parametrize(
    ("side", "nearest"), [(400, 416), (399, 384), (0, 64), (-5, 64), (63, 64), (5000, 2048), (2049, 2048), (65, 64)]
)
def test_a_size_that_cells_do_not_fill_is_refused_with_the_nearest(side: int, nearest: int) -> None:
    with pytest.raises(UsageError, match=rf"--map-size {side}: .* The nearest is {nearest}$"):
        checked_map_size(side)
    assert checked_map_size(nearest) == nearest


def test_a_batch_of_large_frames_is_small() -> None:
    assert usual_batch(16, RESNET) == 16
    assert [usual_batch(16, RESNET.framed(side)) for side in (224, 416, 2048)] == [16, 4, 1]
    assert bounded_batch(None, RESNET.framed(2048)) is None
    assert bounded_batch(64, RESNET) == 64
    assert [bounded_batch(64, RESNET.framed(side)) for side in (416, 2048)] == [64, 4]
