"""One file for a finished stack: safetensors, whose metadata hold the rest as JSON; reading it runs no code.

Layout, versions 3 to 6. Metadata: ``format`` (``stackbone-model``), ``format_version``, ``model`` (a JSON object: task,
classes, backbones with their specs, meta-learner, training, score, versions, time) and ``sha256`` (over the three
others and every tensor's name, shape and bytes). Tensors, float32: ``base.I.coef`` (dim, K), ``base.I.intercept`` (K,)
and, where it is subtracted from the features first, ``base.I.mean`` (dim,) of backbone I; ``meta.coef``,
``meta.intercept`` and ``meta.mean`` alike, unless the meta-learner is a mean of probabilities; and, unless they are
unknown, ``training.seen``, uint8 (n_images, 8): the first bytes of the SHA-256 of each training image, ascending.
Version 4 is written where several backbones are outputs of one network that the meta-learner sees as one, and of models
that take several views of an image. The first have ``members`` in ``model``: how many backbones in a row are one, whose
decision values add up. Of the second a backbone has ``others`` (a list of ``feature_set`` and ``spec``: the mean of all
is taken), and training has ``views`` (a list of names). Version 5 is written of models that have one or more of these:
``thresholds``, a tensor, float32 (K,), of images with any number of labels: the probability from which on an image is
said to have a label; ``heads`` in ``model``, the names of the base learners where they are not the task's own alone
(the H heads of a backbone are one map of H times K outputs); and ``weights`` in ``meta``, of a weighted mean of
probabilities: a list of numbers, one for each head of each member, 0 or more and 1 in sum; and ``targets`` in
``model``, the names of several numbers that are predicted, K of them, where there are no classes. Version 6 is written
of models that have one or more of these: features of training images, by which unlike ones are known
(`stack.models.unlike.novelty`), with the tensors ``novelty.I.features``, float16 (n_kept, dim) of backbone I, and
``novelty.calibration``, float32 (n_calibrated,), and in ``model`` an object ``novelty`` of ``k`` and ``scales`` (a
number for each backbone that has such a tensor, in their order); in training ``class_weight`` (``balanced``, or an
object of numbers by class) and ``weight_column`` (a text); and ``transfer`` in ``model``, five texts by name, of models
that were learnt from one domain for another. Version 2 had no digests of training images, version 1 no means either.

The checksum tells damage, not an author: whoever changes a file on purpose can renew it. What such a file can do
is predict wrongly, and no more: nothing in it is ever executed, and every shape and number is checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError, FeatureSpec, ModelError
from stackbone.cache.records.feature_name import PLAIN
from stackbone.cache.tensor_file import (
    checksum,
    header_json,
    is_newer,
    parse_tensors,
    read_content,
    write_tensors,
)
from stackbone.cache.text import from_json
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.card import CardFacts, kept_notes, write_card
from stackbone.stack.models.json_values import expect, expect_floats
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.unlike.novelty_file import (
    describe_novelty,
    names_of_tensors,
    novelty_tensors,
    parse_novelty,
)
from stackbone.stack.solvers.linear import LinearMap

FORMAT = "stackbone-model"
FORMAT_VERSION = 6
_HEADS_VERSION = 5  # of a model with thresholds, heads or weights of a mean
_VIEWS_VERSION = 4  # of a model with members or views
_PLAIN_VERSION = 3  # of a model without members and views, which earlier versions of Stackbone read too

_METADATA = {"format", "format_version", "model", "sha256"}
_KEYS = {"task", "classes", "backbones", "meta", "training", "score", "versions", "created"}
_Tensors = dict[str, NDArray[Any]]
_SEEN, _THRESHOLDS = "training.seen", "thresholds"


def save_model(model: StackModel, file: Path | str, facts: CardFacts | None = None) -> None:
    """Write a model to one file, whole or not at all, replacing what was there, and its card beside it.

    Parameters
    ----------
    model : StackModel
        The model.
    file : path or str
        Such as ``clothes.stackbone``; the card is ``clothes.stackbone.md``, see `stack.models.card`.
    facts : CardFacts, optional
        What the card tells beyond what the model itself knows.

    Raises
    ------
    CacheError
        If a file cannot be written. Where that is the card alone, the model is saved.
    UsageError
        If a text that is no card is in the place of the card: nothing is written.
    """
    file = Path(file)
    bases = enumerate(model.bases)
    tensors: _Tensors = {f"base.{i}.{part}": array for i, base in bases for part, array in _parts(base)}
    if model.meta_linear is not None:
        tensors |= {f"meta.{part}": array for part, array in _parts(model.meta_linear)}
    if model.seen is not None:
        tensors[_SEEN] = np.ascontiguousarray(model.seen)
    has_views = model.train_views != (PLAIN,) or any(each.others for each in model.backbones)
    version = _VIEWS_VERSION if has_views or model.members else _PLAIN_VERSION
    if model.thresholds is not None:
        tensors[_THRESHOLDS] = np.ascontiguousarray(model.thresholds)
    if model.heads or model.targets or model.weights is not None or model.thresholds is not None:
        version = _HEADS_VERSION
    if model.novelty is not None:
        tensors |= novelty_tensors(model.novelty, [each.name for each in model.backbones])
    newest = (model.novelty, model.class_weight, model.weight_column, model.transfer)
    if any(each is not None for each in newest):
        version = FORMAT_VERSION
    metadata = {"format": FORMAT, "format_version": str(version), "model": header_json(describe_model(model))}
    notes = kept_notes(file)
    sha256 = write_tensors(file, tensors, {**metadata, "sha256": _checksum(metadata, tensors)})
    write_card(model, file, sha256, notes, facts)


def load_model(file: Path | str) -> StackModel:
    """Read the model that `save_model` wrote. No code in the file is ever run, whatever it holds.

    Raises
    ------
    ModelError
        If the file does not exist, is not a model, is damaged or changed, or has a newer version.
    """
    file = Path(file)
    if not file.is_file():
        found = "is a folder" if file.is_dir() else "does not exist"
        message = f"the model {file} {found}. Name a file that `stackbone stack --save FILE` wrote"
        raise ModelError(message)
    metadata, tensors = _read(file)
    if _checksum(metadata, tensors) != metadata["sha256"]:
        _refuse(file, "its checksum does not match: it was damaged or changed after it was written")
    try:
        described = from_json(metadata["model"])
        return _parse(described, tensors, int(metadata["format_version"]))
    except (ModelError, CacheError, ValueError, RecursionError) as exc:
        _refuse(file, str(exc), exc)


def _read(file: Path) -> tuple[dict[str, str], _Tensors]:
    """Return the metadata and the tensors of a file of our format and version."""
    try:
        header, tensors = parse_tensors(read_content(file), ("F16", "F32", "U8"))
        return _checked_metadata(file, header), tensors
    except ValueError as exc:
        _refuse(file, str(exc), exc)
    except OSError as exc:
        message = f"the model {file} cannot be read: {exc.strerror or exc}. Check its permissions"
        raise ModelError(message) from exc


def _checked_metadata(file: Path, metadata: Mapping[str, str]) -> dict[str, str]:
    if metadata.get("format") != FORMAT:
        _refuse(file, "it is a safetensors file of something else, not a model of Stackbone")
    version = metadata.get("format_version", "")
    if is_newer(version, FORMAT_VERSION):
        message = (
            f"the model {file} has format version {version}, and this Stackbone reads up to {FORMAT_VERSION}. "
            "Update Stackbone to use it; nothing is wrong with the file"
        )
        raise ModelError(message)
    if version not in map(str, range(1, FORMAT_VERSION + 1)) or set(metadata) != _METADATA:
        _refuse(file, f"its metadata are version {version!r} with the keys {sorted(metadata)}")
    return dict(metadata)


def _checksum(metadata: Mapping[str, str], tensors: _Tensors) -> str:
    return checksum((json.dumps([key, metadata[key]]) for key in sorted(_METADATA - {"sha256"})), tensors)


def _parts(linear: LinearMap) -> list[tuple[str, NDArray[np.float32]]]:
    arrays = {"coef": linear.coef, "intercept": linear.intercept, "mean": linear.mean}
    return [(name, np.ascontiguousarray(array)) for name, array in arrays.items() if array is not None]


def describe_model(model: StackModel) -> dict[str, Any]:
    """Return all that a file says of a model beside its arrays, as a JSON-able object."""
    names = [each.name for each in model.backbones]
    return {
        "task": model.task,
        "classes": model.classes,
        "backbones": [
            {"name": each.name, **_describe_set(each.feature_set, each.spec), **_describe_others(each)}
            for each in model.backbones
        ],
        "meta": {
            "learner": model.learner,
            "scores": model.scores,
            "combine": model.combine,
            "scale": float(model.scale),
            **({} if model.weights is None else {"weights": [float(each) for each in model.weights]}),
        },
        "training": {
            "n_images": int(model.n_images),
            "digests_sha256": model.digests_sha256,
            **({} if model.train_views == (PLAIN,) else {"views": list(model.train_views)}),
            **({} if model.class_weight is None else {"class_weight": _plain(model.class_weight)}),
            **({} if model.weight_column is None else {"weight_column": model.weight_column}),
        },
        "score": {name: value if isinstance(value, str) else float(value) for name, value in model.score.items()},
        "versions": model.versions,
        "created": model.created,
        **({"members": list(model.members)} if model.members else {}),
        **({"heads": list(model.heads)} if model.heads else {}),
        **({} if model.novelty is None else {"novelty": describe_novelty(model.novelty, names)}),
        **({"targets": list(model.targets)} if model.targets else {}),
        **({"transfer": dict(model.transfer)} if model.transfer is not None else {}),
    }


def _plain(class_weight: str | Mapping[str, float]) -> str | dict[str, float]:
    return class_weight if isinstance(class_weight, str) else {name: float(each) for name, each in class_weight.items()}


def _describe_set(identity: str, spec: FeatureSpec) -> dict[str, Any]:
    return {"feature_set": identity, "spec": json.loads(spec.to_json())}


def _describe_others(backbone: ModelBackbone) -> dict[str, Any]:
    return {"others": [_describe_set(*each) for each in backbone.others]} if backbone.others else {}


def _parse(raw: object, tensors: _Tensors, version: int) -> StackModel:
    is_plain, has_heads, is_newest = version <= _PLAIN_VERSION, version > _VIEWS_VERSION, version > _HEADS_VERSION
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
        expected |= {_SEEN} & set(tensors)
    if version >= 5:
        expected |= {_THRESHOLDS} & set(tensors)
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
        seen=tensors.get(_SEEN),
        train_views=tuple(expect(str, each, "views") for each in expect(list, training.get("views", [PLAIN]), "views")),
        members=None if members is None else [expect(int, each, "members") for each in members],
        thresholds=tensors.get(_THRESHOLDS),
        heads=tuple(expect(str, each, "heads") for each in expect(list, described.get("heads", []), "heads")),
        weights=weights,
        targets=tuple(expect(str, each, "targets") for each in expect(list, described.get("targets", []), "targets")),
        novelty=parse_novelty(described["novelty"], of_backbones, tensors) if "novelty" in described else None,
        class_weight=_parse_class_weight(training.get("class_weight")),
        weight_column=training.get("weight_column"),
        transfer=_texts(described["transfer"], "transfer") if "transfer" in described else None,
    )


def _parse_training(raw: object, version: int) -> dict[str, Any]:
    of_version = {"views": version >= 4, "class_weight": version >= 6, "weight_column": version >= 6}
    optional = [name for name, is_known in of_version.items() if is_known]
    training = expect(dict, raw, "training", keys={"n_images", "digests_sha256"}, optional=optional)
    if "weight_column" in training:
        expect(str, training["weight_column"], "training.weight_column")
    return training


def _parse_class_weight(raw: object) -> str | dict[str, float] | None:
    if raw is None or isinstance(raw, str):
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


def _texts(raw: object, what: str) -> dict[str, str]:
    return {name: expect(str, each, what) for name, each in expect(dict, raw, what).items()}


def _parse_set(described: dict[str, Any]) -> tuple[str, FeatureSpec]:
    spec = FeatureSpec.from_json(json.dumps(described["spec"]))
    return expect(str, described["feature_set"], "feature_set"), spec


def _refuse(file: Path, found: str, cause: BaseException | None = None) -> NoReturn:
    message = (
        f"{file} is not a valid model: {found}. Nothing in it was run or used. "
        "Copy it again from an intact file, or fit it again with `stackbone stack --save FILE`"
    )
    raise ModelError(message) from cause
