"""What the JSON and the tensors of a model's file say, as a model: every key, shape and number is checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from stackbone.cache import FeatureSpec, ModelError
from stackbone.cache.records.feature_name import PLAIN
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.json_values import expect, expect_floats
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.unlike.novelty_file import names_of_tensors, parse_novelty
from stackbone.stack.solvers.linear import LinearMap

HEADS_VERSION = 5  # of a model with thresholds, heads or weights of a mean
VIEWS_VERSION = 4  # of a model with members or views
PLAIN_VERSION = 3  # of a model without members and views, which earlier versions of Stackbone read too

SEEN, THRESHOLDS = "training.seen", "thresholds"
_KEYS = {"task", "classes", "backbones", "meta", "training", "score", "versions", "created"}


def parse_model(raw: object, tensors: Mapping[str, NDArray[Any]], version: int) -> StackModel:
    """Return the model that a file's JSON and tensors say.

    Parameters
    ----------
    raw : object
        The value of the JSON.
    tensors : mapping of str to array
        By their names; see `stack.models.model_file`.
    version : int
        Of the file's format.

    Raises
    ------
    ModelError, CacheError, ValueError
        If they are no model's of that version; the message tells what was found.
    """
    is_plain, has_heads, is_newest = version <= PLAIN_VERSION, version > VIEWS_VERSION, version > HEADS_VERSION
    of_version = {"members": not is_plain, "heads": has_heads, "targets": has_heads}
    of_version |= {"novelty": is_newest, "transfer": is_newest}
    optional = [name for name, is_known in of_version.items() if is_known]
    described = expect(dict, raw, "the description", keys=_KEYS, optional=optional)
    members = expect(list, described["members"], "members") if "members" in described else None
    of_meta = {"learner", "scores", "combine", "scale"}
    meta = expect(dict, described["meta"], "meta", keys=of_meta, optional=("weights",) if has_heads else ())
    weights = expect_floats(meta["weights"], "meta.weights") if "weights" in meta else None
    training = _parse_training(described["training"], version)
    backbones = [_parse_backbone(each, is_plain=is_plain) for each in expect(list, described["backbones"], "backbones")]
    of_backbones = [each.name for each in backbones]
    learner = expect(str, meta["learner"], "meta.learner")
    is_mean = learner == "mean" or weights is not None
    names = [f"base.{i}" for i in range(len(backbones))] + ([] if is_mean else ["meta"])
    expected = {f"{name}.{part}" for name in names for part in ("coef", "intercept")}
    if version >= 2:
        expected |= {f"{name}.mean" for name in names} & set(tensors)
    if version >= 3:
        expected |= {SEEN} & set(tensors)
    if version >= 5:
        expected |= {THRESHOLDS} & set(tensors)
    if "novelty" in described:
        expected |= names_of_tensors(of_backbones, tensors)
    if set(tensors) != expected:
        message = f"its tensors differ from the format's in {sorted(set(tensors) ^ expected)}"
        raise ModelError(message)
    maps = [
        LinearMap(tensors[f"{name}.coef"], tensors[f"{name}.intercept"], tensors.get(f"{name}.mean")) for name in names
    ]
    score = expect(dict, described["score"], "score")
    versions = expect(dict, described["versions"], "versions")
    return StackModel(
        task=expect(str, described["task"], "task"),
        classes=[expect(str, each, "classes") for each in expect(list, described["classes"], "classes")],
        backbones=backbones,
        bases=maps[: len(backbones)],
        learner=learner,
        scores=expect(str, meta["scores"], "meta.scores"),
        combine=expect(str, meta["combine"], "meta.combine"),
        meta_linear=None if is_mean else maps[-1],
        scale=expect(float, meta["scale"], "meta.scale"),
        n_images=expect(int, training["n_images"], "training.n_images"),
        digests_sha256=expect(str, training["digests_sha256"], "training.digests_sha256"),
        score={name: value if type(value) is float else expect(str, value, "score") for name, value in score.items()},
        versions={name: expect(str, each, "versions") for name, each in versions.items()},
        created=expect(str, described["created"], "created"),
        seen=tensors.get(SEEN),
        train_views=tuple(expect(str, each, "views") for each in expect(list, training.get("views", [PLAIN]), "views")),
        members=None if members is None else [expect(int, each, "members") for each in members],
        thresholds=tensors.get(THRESHOLDS),
        heads=tuple(expect(str, each, "heads") for each in expect(list, described.get("heads", []), "heads")),
        weights=weights,
        targets=tuple(expect(str, each, "targets") for each in expect(list, described.get("targets", []), "targets")),
        novelty=parse_novelty(described["novelty"], of_backbones, tensors) if "novelty" in described else None,
        class_weight=_parse_class_weight(training["class_weight"]) if "class_weight" in training else None,
        weight_column=training.get("weight_column"),
        transfer=_texts(described["transfer"], "transfer") if "transfer" in described else None,
    )


def _texts(raw: object, what: str) -> dict[str, str]:
    return {name: expect(str, each, what) for name, each in expect(dict, raw, what).items()}


def _parse_training(raw: object, version: int) -> dict[str, Any]:
    of_version = {"views": version >= 4, "class_weight": version >= 6, "weight_column": version >= 6}
    optional = [name for name, is_known in of_version.items() if is_known]
    training = expect(dict, raw, "training", keys={"n_images", "digests_sha256"}, optional=optional)
    if "weight_column" in training:
        expect(str, training["weight_column"], "training.weight_column")
    return training


def _parse_class_weight(raw: object) -> str | dict[str, float]:
    if isinstance(raw, str):
        return raw
    named = expect(dict, raw, "training.class_weight")
    return {name: expect(float, each, "training.class_weight") for name, each in named.items()}


def _parse_backbone(raw: object, *, is_plain: bool) -> ModelBackbone:
    optional = () if is_plain else {"others"}
    described = expect(dict, raw, "a backbone", keys={"name", "feature_set", "spec"}, optional=optional)
    others = expect(list, described.get("others", []), "others")
    each = [expect(dict, other, "others", keys={"feature_set", "spec"}) for other in others]
    name = expect(str, described["name"], "name")
    return ModelBackbone(name, *_parse_set(described), tuple(_parse_set(other) for other in each))


def _parse_set(described: dict[str, Any]) -> tuple[str, FeatureSpec]:
    spec = FeatureSpec.from_json(json.dumps(described["spec"]))
    return expect(str, described["feature_set"], "feature_set"), spec
