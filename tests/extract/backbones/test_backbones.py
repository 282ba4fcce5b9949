"""The table says of every backbone what timm's pinned tag says, and a spec's fingerprint changes with every part."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from typing import Any

import pytest
import timm
from timm.data import resolve_data_config

from stackbone.cache import FeatureSpec, UsageError, WeightsError, feature_set_id
from stackbone.cache.backbone_groups import GROUPS
from stackbone.extract.backbones.backbone import BACKBONES, Backbone, Transform, get_backbone, parse_backbones
from stackbone.extract.backbones.weights import find_weights

SMALL = "timm:mobilenetv3_small_050.lamb_in1k"
NO_WEIGHTS = "sha256:" + "0" * 64


# The table


def test_the_names_are_those_of_the_design() -> None:
    assert {name: backbone.architecture for name, backbone in BACKBONES.items()} == {
        "resnet50": "resnet50.tv_in1k",
        "vgg19": "vgg19.tv_in1k",
        "inception_v3": "inception_v3.tv_in1k",
        "xception": "legacy_xception.tf_in1k",
        "vit_base": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
        "vit_base_imagenet": "vit_base_patch16_224",
        "efficientnet_lite0": "tf_efficientnet_lite0.in1k",
        "efficientnet_lite1": "tf_efficientnet_lite1.in1k",
        "efficientnet_lite2": "tf_efficientnet_lite2.in1k",
        "convnext_tiny": "convnext_tiny.fb_in22k",
        "convnext_base": "convnext_base.fb_in22k",
        "convnextv2_tiny": "convnextv2_tiny.fcmae_ft_in22k_in1k",
        "convnextv2_base": "convnextv2_base.fcmae_ft_in22k_in1k",
        "efficientnetv2_b0": "tf_efficientnetv2_b0.in1k",
        "efficientnetv2_s": "tf_efficientnetv2_s.in21k_ft_in1k",
        "mobilenetv4_small": "mobilenetv4_conv_small.e2400_r224_in1k",
        "mobilenetv4_medium": "mobilenetv4_conv_medium.e500_r256_in1k",
        "regnety_016": "regnety_016.tv2_in1k",
        "regnety_160": "regnety_160.tv2_in1k",
        "vgg16": "vgg16.tv_in1k",
        "aimv2_large": "aimv2_large_patch14_224.apple_pt_dist",
        "clip_vit_base": "vit_base_patch16_clip_quickgelu_224.openai",
        "clip_vit_large": "vit_large_patch14_clip_quickgelu_224.openai",
        "dinov2_small": "vit_small_patch14_dinov2.lvd142m",
        "dinov2_base": "vit_base_patch14_dinov2.lvd142m",
        "dinov2_large": "vit_large_patch14_dinov2.lvd142m",
        "dinov3_small": "vit_small_patch16_dinov3.lvd1689m",
        "dinov3_base": "vit_base_patch16_dinov3.lvd1689m",
        "dinov3_large": "vit_large_patch16_dinov3.lvd1689m",
        "eva02_small": "eva02_small_patch14_336.mim_in22k_ft_in1k",
        "eva02_base": "eva02_base_patch14_448.mim_in22k_ft_in22k_in1k",
        "eva02_clip_base": "eva02_base_patch16_clip_224.merged2b",
        "maxvit_tiny": "maxvit_tiny_tf_224.in1k",
        "maxvit_base": "maxvit_base_tf_224.in21k",
        "siglip2_base": "vit_base_patch16_siglip_224.v2_webli",
        "siglip2_so400m": "vit_so400m_patch14_siglip_224.v2_webli",
        "swin_tiny": "swin_tiny_patch4_window7_224.ms_in1k",
        "swin_base": "swin_base_patch4_window7_224.ms_in22k",
    }


def test_the_vit_of_the_released_checkpoints_is_normalised_as_imagenet_is_and_lies_on_no_hub() -> None:
    backbone = BACKBONES["vit_base_imagenet"]
    deit = timm.get_pretrained_cfg("deit_base_patch16_224.fb_in1k")
    assert (backbone.mean, backbone.std) == (deit.mean, deit.std)
    assert (3, *backbone.transform.input_size) == deit.input_size
    assert backbone.transform.crop_fraction == 224 / 256
    assert backbone.hub == ""
    with pytest.raises(WeightsError, match=r"vit_base_imagenet: .* weights come as a file alone"):
        find_weights([backbone], {})


@pytest.mark.parametrize("name", [name for name, each in BACKBONES.items() if each.hub])
def test_the_table_equals_timms_pretrained_configuration(name: str) -> None:
    backbone = BACKBONES[name]
    assert backbone.name == name
    config = timm.get_pretrained_cfg(backbone.architecture)
    assert f"{config.architecture}.{config.tag}" == backbone.architecture
    assert (3, *backbone.transform.input_size) == config.input_size
    assert backbone.transform.crop_fraction == config.crop_pct
    assert backbone.transform.interpolation == config.interpolation
    assert backbone.transform.crop_mode == config.crop_mode
    assert backbone.mean == config.mean
    assert backbone.std == config.std
    assert backbone.hub == (config.hf_hub_id or config.url)
    data = resolve_data_config(pretrained_cfg=config.to_dict())
    assert data["input_size"] == (3, *backbone.transform.input_size)
    assert data["crop_pct"] == backbone.transform.crop_fraction


def test_groups_are_of_the_table() -> None:
    assert GROUPS["published"] == ("resnet50", "vgg19", "inception_v3", "xception")
    assert GROUPS["offline"] == ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
    assert all(name in BACKBONES for group in GROUPS.values() for name in group)
    assert all(BACKBONES[name].package for name in GROUPS["offline"])


def test_backbones_that_may_share_a_transform_do() -> None:
    assert BACKBONES["resnet50"].transform == BACKBONES["vgg19"].transform
    assert BACKBONES["resnet50"].transform != BACKBONES["efficientnet_lite0"].transform


# Names


def test_names_and_groups_are_expanded_once_and_in_order() -> None:
    assert parse_backbones("vit_base, resnet50,vit_base") == ["vit_base", "resnet50"]
    assert parse_backbones("offline,resnet50") == [*GROUPS["offline"], "resnet50"]
    assert parse_backbones(["xception", "published"]) == ["xception", "resnet50", "vgg19", "inception_v3"]
    assert parse_backbones("all") == list(BACKBONES)
    assert parse_backbones(SMALL) == [SMALL]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("resnet5", "resnet50"),
        ("resnet-50", "resnet50"),
        ("vgg-19", "vgg19"),
        ("dinov3_basis", "dinov3_base"),
        ("clip_vit_b", "clip_vit_base"),
        ("moderne", "modern"),
        ("inceptionv3", "inception_v3"),
        ("Xception", "xception"),
        ("vit", "vit_base"),
        ("ofline", "offline"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown backbone '{typed}': did you mean '{meant}'\?"):
        parse_backbones(typed)


def test_a_name_like_no_other_lists_those_that_are_known() -> None:
    with pytest.raises(UsageError, match=r"choose from convnext_tiny, .*resnet50, .*published, .*all.*timm:MODEL"):
        parse_backbones("qqqqqq")


@pytest.mark.parametrize("typed", ["", " , ", []])
def test_no_name_is_an_error_that_lists_them(typed: str | list[str]) -> None:
    with pytest.raises(UsageError, match=r"no backbone was named.*resnet50.*published, offline, modern, small, all"):
        parse_backbones(typed)


@pytest.mark.parametrize("typed", ["timm:", "timm:../../etc", "timm:a b", "timm:-x", "timm:a/b"])
def test_a_timm_name_that_could_not_be_one_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="is not timm: and the name of a timm model"):
        parse_backbones(typed)


# Any model of timm


def test_a_timm_model_resolves_with_its_own_configuration() -> None:
    backbone = get_backbone(SMALL)
    assert backbone == Backbone(
        name=SMALL,
        architecture="mobilenetv3_small_050.lamb_in1k",
        transform=Transform((224, 224), 0.875, "bicubic"),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        pooling="model",
        hub="timm/mobilenetv3_small_050.lamb_in1k",
    )


def test_a_timm_model_without_a_tag_gets_the_default_one() -> None:
    assert get_backbone("timm:resnet18").architecture == f"resnet18.{timm.get_pretrained_cfg('resnet18').tag}"
    assert get_backbone("timm:resnet18").name == "timm:resnet18"


def test_squash_and_oblong_inputs_resolve() -> None:
    squash = get_backbone("timm:convnext_tiny.fb_in22k_ft_in1k_384")
    assert squash.transform == Transform((384, 384), 1.0, "bicubic", "squash")


@pytest.mark.parametrize(
    ("typed", "match"),
    [
        ("timm:resnet51x", r"timm has no model 'resnet51x': the nearest are .*resnet"),
        ("timm:resnet50.nowhere", r"no weights with that tag; it has .*resnet50\.tv_in1k"),
    ],
)
def test_a_timm_model_that_is_not_there_suggests_what_is(typed: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        get_backbone(typed)


def test_a_timm_model_without_weights_is_refused() -> None:
    with_weights = {name.split(".", 1)[0] for name in timm.list_pretrained()}
    without = next(name for name in timm.list_models() if name not in with_weights)
    with pytest.raises(UsageError, match=f"timm names no pretrained weights for '{without}'"):
        get_backbone(f"timm:{without}")


@pytest.mark.parametrize(
    "change", [{"crop_mode": "border"}, {"interpolation": "nearest"}, {"input_size": (1, 224, 224)}], ids=str
)
def test_an_input_that_cannot_be_fed_is_refused(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]) -> None:
    config = replace(timm.get_pretrained_cfg("resnet18.a1_in1k"), **change)
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda _model: config)
    with pytest.raises(UsageError, match="Stackbone feeds RGB images"):
        get_backbone("timm:resnet18.a1_in1k")


def test_a_table_name_needs_no_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert get_backbone("resnet50") is BACKBONES["resnet50"]


# Identity


def test_fingerprints_are_what_they_were() -> None:
    """A change here makes every cache in the world embed again: never by accident."""
    found = {name: backbone.spec(NO_WEIGHTS).fingerprint for name, backbone in BACKBONES.items()}
    assert found == {
        "resnet50": "8c535cc43384",
        "vgg19": "fe9d0dde302b",
        "inception_v3": "8d8c194e682f",
        "xception": "a900223b14e1",
        "vit_base": "46f83839e94a",
        "vit_base_imagenet": "deb7f395d041",
        "efficientnet_lite0": "aaab9952a87b",
        "efficientnet_lite1": "1330621b7e8b",
        "efficientnet_lite2": "fc6b7c6b9161",
        "convnext_tiny": "424f8db23c51",
        "convnext_base": "9fb277ce3719",
        "convnextv2_tiny": "c0bb22432ca1",
        "convnextv2_base": "b0644c6fcab0",
        "efficientnetv2_b0": "4f49b155d154",
        "efficientnetv2_s": "15bb8734f12f",
        "mobilenetv4_small": "2dbbc24015e7",
        "mobilenetv4_medium": "f4aa7317ed18",
        "regnety_016": "d239960b07bb",
        "regnety_160": "d1fe44a71400",
        "vgg16": "019de56250fc",
        "aimv2_large": "993852a7ddd3",
        "clip_vit_base": "ec89050f9db1",
        "clip_vit_large": "047308b8ebec",
        "dinov2_small": "fd7a758ea2f4",
        "dinov2_base": "865b52082dba",
        "dinov2_large": "9872008b3869",
        "dinov3_small": "5b24586b1a67",
        "dinov3_base": "629d1f6b5bc8",
        "dinov3_large": "3aa84b442c65",
        "eva02_small": "f5ac87cdff1c",
        "eva02_base": "c81fa2ef784c",
        "eva02_clip_base": "f7e5a7e1015e",
        "maxvit_tiny": "394ebf6aa17b",
        "maxvit_base": "231dd602706a",
        "siglip2_base": "00ec4fd9b0e7",
        "siglip2_so400m": "098708edc3fc",
        "swin_tiny": "5d9802723452",
        "swin_base": "553b786c58b1",
    }
    assert feature_set_id("resnet50", BACKBONES["resnet50"].spec(NO_WEIGHTS)) == "resnet50-8c535cc43384"


def test_the_canonical_json_is_what_it_was() -> None:
    assert BACKBONES["resnet50"].spec(NO_WEIGHTS).to_json() == (
        '{"architecture":"resnet50.tv_in1k","crop_fraction":0.875,"crop_mode":"center","input_size":[224,224],'
        '"interpolation":"bilinear","mean":[0.485,0.456,0.406],"pooling":"avg","precision":"fp32",'
        '"std":[0.229,0.224,0.225],"steering":null,"version":1,"view":"plain",'
        f'"weights":"{NO_WEIGHTS}"}}'
    )


OTHER: dict[str, Any] = {
    "architecture": "resnet50.a1_in1k",
    "weights": "sha256:" + "1" * 64,
    "input_size": (224, 225),
    "crop_fraction": 0.876,
    "crop_mode": "squash",
    "interpolation": "bicubic",
    "mean": (0.485, 0.456, 0.407),
    "std": (0.229, 0.225, 0.224),
    "pooling": "model",
    "precision": "bf16",
    "output": "stages",
    "view": "hflip",
    "steering": "2" * 64,
    "version": 2,
}


@pytest.mark.parametrize("field", [field.name for field in fields(FeatureSpec)])
def test_the_fingerprint_changes_with_every_field(field: str) -> None:
    spec = BACKBONES["resnet50"].spec(NO_WEIGHTS)
    assert getattr(spec, field) != OTHER[field]
    assert replace(spec, **{field: OTHER[field]}).fingerprint != spec.fingerprint


@pytest.mark.parametrize("field", ["architecture", "mean", "std", "pooling"])
def test_the_spec_follows_the_backbone(field: str) -> None:
    backbone = replace(BACKBONES["resnet50"], **{field: OTHER[field]})
    assert getattr(backbone.spec(NO_WEIGHTS), field) == OTHER[field]


@pytest.mark.parametrize("field", ["input_size", "crop_fraction", "crop_mode", "interpolation"])
def test_the_spec_follows_the_transform(field: str) -> None:
    transform = replace(BACKBONES["resnet50"].transform, **{field: OTHER[field]})
    assert getattr(replace(BACKBONES["resnet50"], transform=transform).spec(NO_WEIGHTS), field) == OTHER[field]


def test_the_fingerprint_does_not_depend_on_the_users_name_for_it() -> None:
    table, by_timm = BACKBONES["vit_base"], get_backbone("timm:vit_base_patch16_224.augreg2_in21k_ft_in1k")
    assert table.spec(NO_WEIGHTS) == by_timm.spec(NO_WEIGHTS)
    assert BACKBONES["resnet50"].spec(NO_WEIGHTS, "bf16").precision == "bf16"
