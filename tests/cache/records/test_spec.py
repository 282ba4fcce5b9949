"""A spec has one canonical form and one fingerprint, for ever; and a folder's name leads back to its backbone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
import pytest

from stackbone.cache import CacheError, FeatureSpec, UsageError, feature_set_id
from stackbone.cache.records.spec import parse_feature_set_id

SPEC = FeatureSpec(
    architecture="resnet50.tv_in1k",
    weights="sha256:" + "ab" * 32,
    input_size=(224, 224),
    crop_fraction=0.875,
    crop_mode="center",
    interpolation="bilinear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    pooling="avg",
)
CANONICAL = (
    '{"architecture":"resnet50.tv_in1k","crop_fraction":0.875,"crop_mode":"center","input_size":[224,224],'
    '"interpolation":"bilinear","mean":[0.485,0.456,0.406],"pooling":"avg","precision":"fp32",'
    '"std":[0.229,0.224,0.225],"steering":null,"version":1,"view":"plain","weights":"sha256:' + "ab" * 32 + '"}'
)
OTHER: dict[str, Any] = {
    "output": "stages",
    "architecture": "vgg19.tv_in1k",
    "weights": "random(1)",
    "input_size": (224, 225),
    "crop_fraction": 0.9,
    "crop_mode": "squash",
    "interpolation": "bicubic",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "pooling": "model",
    "precision": "bf16",
    "view": "hflip",
    "steering": "ab" * 32,
    "version": 2,
}


def test_json_is_canonical() -> None:
    assert SPEC.to_json() == CANONICAL


def test_fingerprint_never_changes() -> None:
    # A release that changes this literal orphans every cache there is.
    assert SPEC.fingerprint == "ea2ab74516a4"
    assert SPEC.fingerprint == hashlib.sha256(CANONICAL.encode()).hexdigest()[:12]


def test_spec_survives_json() -> None:
    for spec in (SPEC, replace(SPEC, steering="ab" * 32, view="hflip", architecture='odd "näme"\n')):
        assert FeatureSpec.from_json(spec.to_json()) == spec
        assert spec.to_json().isascii()


@pytest.mark.parametrize("field", [field.name for field in fields(FeatureSpec)])
def test_every_field_changes_the_fingerprint(field: str) -> None:
    assert replace(SPEC, **{field: OTHER[field]}).fingerprint != SPEC.fingerprint


def test_equal_numbers_give_equal_fingerprints() -> None:
    whole = replace(SPEC, crop_fraction=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    assert replace(whole, crop_fraction=1, mean=(0, 0, 0), std=(1, 1, 1)).to_json() == whole.to_json()
    assert replace(whole, crop_fraction=np.float64(1)).to_json() == whole.to_json()


def _changed(**changes: object) -> str:
    return json.dumps({**asdict(SPEC), **changes})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 100_000, "not JSON"),
        ("1" * 100_000, "not JSON"),
        ("[1]", "JSON list"),
        ("null", "JSON NoneType"),
        ("7", "JSON int"),
        ('"text"', "JSON str"),
        ("{}", "version None"),
        (_changed(version=2), "version 2, this Stackbone reads 1"),
        (_changed(version="1"), "version '1'"),
        (_changed(version=True), "version True"),
        (_changed(extra=1), r"\['extra'\]"),
        ('{"version":1}', "'architecture'"),
        (_changed(architecture=5), r"\['architecture'\]"),
        (_changed(architecture=None), r"\['architecture'\]"),
        (_changed(architecture={"a": 1}), r"\['architecture'\]"),
        (_changed(input_size=[224]), r"\['input_size'\]"),
        (_changed(input_size=[224, 224.0]), r"\['input_size'\]"),
        (_changed(input_size="224"), r"\['input_size'\]"),
        (_changed(mean=[0.5, 0.5]), r"\['mean'\]"),
        (_changed(mean=[0.5, 0.5, [0.5]]), r"\['mean'\]"),
        (_changed(std=[0, 0, 0]), r"\['std'\]"),
        (_changed(crop_fraction="0.9"), r"\['crop_fraction'\]"),
        (_changed(crop_fraction=True), r"\['crop_fraction'\]"),
        (_changed(steering=1, view=2), r"\['steering', 'view'\]"),
    ],
)
def test_text_that_is_no_spec_is_refused(text: str, match: str) -> None:
    with pytest.raises(CacheError, match=match):
        FeatureSpec.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("field", ["crop_fraction", "mean", "std"])
def test_text_with_a_number_that_is_not_finite_is_refused(field: str, number: str) -> None:
    raw = json.loads(SPEC.to_json())
    raw[field] = "@" if field == "crop_fraction" else ["@", 0.5, 0.5]
    with pytest.raises(CacheError, match=field):
        FeatureSpec.from_json(json.dumps(raw).replace('"@"', number))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_number_that_json_does_not_have_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(SPEC, crop_fraction=number).to_json()


@pytest.mark.parametrize(
    ("backbone", "slug"),
    [
        ("resnet50", "resnet50"),
        ("inception_v3", "inception_v3"),
        ("efficientnet_lite0", "efficientnet_lite0"),
        ("timm:resnet18.a1_in1k", "timm.resnet18.a1_in1k"),
        ("timm:convnext_tiny.fb_in22k_ft_in1k_384", "timm.convnext_tiny.fb_in22k_ft_in1k_384"),
        ("timm", "timm"),
        ("timmy.x", "timmy.x"),
    ],
)
def test_folder_name_leads_back_to_the_backbone(backbone: str, slug: str) -> None:
    identity = feature_set_id(backbone, SPEC)
    assert identity == f"{slug}-{SPEC.fingerprint}"
    assert parse_feature_set_id(identity) == (backbone, SPEC.fingerprint)


@pytest.mark.parametrize("backbone", ["", "a-b", "a/b", "..", ".a", "_a", "a:b:c", "timm.resnet18", "timm:a/b", "a\n"])
def test_name_that_would_not_lead_back_is_refused(backbone: str) -> None:
    with pytest.raises(UsageError, match="timm:MODEL"):
        feature_set_id(backbone, SPEC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "datasets",
        "resnet50",
        "resnet50-",
        "-0123456789ab",
        "resnet50-0123456789a",
        "resnet50-0123456789abc",
        "resnet50-0123456789AB",
        "resnet50-0123456789ag",
        "resnet50-0123456789ab\n",
        "a-b-0123456789ab",
        "../resnet50-0123456789ab",
    ],
)
def test_other_folder_names_are_no_feature_set(text: str) -> None:
    assert parse_feature_set_id(text) is None
