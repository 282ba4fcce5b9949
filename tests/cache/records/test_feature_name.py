"""A feature set is named by its backbone, one of its outputs and a view, typed and as a folder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stackbone.cache import CacheError, FeatureSpec, UsageError, feature_set_id
from stackbone.cache.backbone_groups import expand_groups
from stackbone.cache.records.feature_name import FeatureName, parse_feature_name
from stackbone.cache.records.spec import parse_feature_set_id
from tests.made.caches import SPEC

NAMES = {
    "resnet50": (FeatureName("resnet50"), "resnet50"),
    "resnet50@stages": (FeatureName("resnet50", "stages"), "resnet50@stages"),
    "vit_base@cls+mean": (FeatureName("vit_base", "cls+mean"), "vit_base@cls+mean"),
    "vit_base@layer:blocks.3": (FeatureName("vit_base", "layer:blocks.3"), "vit_base@layer.blocks.3"),
    "timm:a.b@layer:x.y_Z": (FeatureName("timm:a.b", "layer:x.y_Z"), "timm.a.b@layer.x.y_Z"),
    "resnet50~five-crop": (FeatureName("resnet50", view="five-crop"), "resnet50~five-crop"),
    "resnet50@map~augment:3": (FeatureName("resnet50", "map", "augment:3"), "resnet50@map~augment.3"),
}


@pytest.mark.parametrize("typed", NAMES)
def test_a_name_is_found_again_as_typed_and_as_a_folder(typed: str) -> None:
    name, folder = NAMES[typed]
    assert parse_feature_name(typed) == name
    assert str(name) == typed
    spec = replace(SPEC, output=name.output, view=name.view)
    identity = feature_set_id(name.backbone, spec)
    assert identity == feature_set_id(typed, spec) == f"{folder}-{spec.fingerprint}"
    assert parse_feature_set_id(identity) == (typed, spec.fingerprint)


@pytest.mark.parametrize("typed", ["resnet50@pooled", "resnet50~plain", "resnet50@pooled~plain"])
def test_what_goes_without_saying_is_not_said(typed: str) -> None:
    assert str(parse_feature_name(typed)) == "resnet50"


@pytest.mark.parametrize(
    "typed", ["a@", "a~", "a@Stages", "a@layer:", "a@layer:x..y", "a@b@c", "a~b~c", "a@b/c", "a@b\n"]
)
def test_what_can_be_no_output_or_view_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match=r"is no (output|view)\. Name one behind"):
        parse_feature_name(typed)


@pytest.mark.parametrize("folder", ["a@pooled", "a~plain", "a@", "a@b@c", "@b", "a@b/c", "a@layer:x", "a~x:y", "a@b~"])
def test_another_folder_is_none_of_ours(folder: str) -> None:
    assert parse_feature_set_id(f"{folder}-{SPEC.fingerprint}") is None


def test_pooled_features_keep_the_spec_that_they_had() -> None:
    assert "output" not in SPEC.to_json()
    assert FeatureSpec.from_json(SPEC.to_json()).output == "pooled"
    stages = replace(SPEC, output="stages")
    assert '"output":"stages"' in stages.to_json()
    assert FeatureSpec.from_json(stages.to_json()) == stages


@pytest.mark.parametrize("output", ["1", '"Stages"', "null", '"layer:"', '"a b"'])
def test_a_spec_of_no_output_is_refused(output: str) -> None:
    text = replace(SPEC, output="stages").to_json().replace('"stages"', output)
    with pytest.raises(CacheError, match="output"):
        FeatureSpec.from_json(text)


def test_a_group_hands_on_what_stands_behind_its_name() -> None:
    def every(suffix: str) -> list[str]:
        return [f"mine{suffix}"]

    assert expand_groups("offline@stages", every) == [f"efficientnet_lite{level}@stages" for level in range(3)]
    assert expand_groups("all@map~hflip,resnet50@cls", every) == ["mine@map~hflip", "resnet50@cls"]
    assert expand_groups("all", every) == ["mine"]
