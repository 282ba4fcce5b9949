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
from stackbone.stack.models.cards.card import CardFacts, kept_notes, write_card
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.model_parsing import (
    HEADS_VERSION,
    PLAIN_VERSION,
    SEEN,
    THRESHOLDS,
    VIEWS_VERSION,
    parse_model,
)
from stackbone.stack.models.unlike.novelty_file import describe_novelty, novelty_tensors
from stackbone.stack.solvers.linear import LinearMap

FORMAT = "stackbone-model"
FORMAT_VERSION = 6

DETECTOR_FORMAT = "stackbone-detector"
"""That of models which find objects: see `stack.detection.models.model_file`."""

_METADATA = {"format", "format_version", "model", "sha256"}
_Tensors = dict[str, NDArray[Any]]


def save_model(model: StackModel, file: Path | str, facts: CardFacts | None = None) -> None:
    """Write a model to one file, whole or not at all, replacing what was there, and its card beside it.

    Parameters
    ----------
    model : StackModel
        The model.
    file : path or str
        Such as ``clothes.stackbone``; the card is ``clothes.stackbone.md``, see `stack.models.cards.card`.
    facts : CardFacts, optional
        What the card tells beyond what the model itself knows.

    Raises
    ------
    CacheError
        If a file cannot be written. Where that is the card alone, the model is saved.
    UsageError
        If a text that is no card is in the place of the card: nothing is written.
    """
    notes = kept_notes(Path(file))
    write_card(model, Path(file), write_model(model, file), notes, facts)


def write_model(model: StackModel, file: Path | str) -> str:
    """Write a model to one file, whole or not at all, without a card; return the SHA-256 of its bytes, in hex.

    Raises
    ------
    CacheError
        If it cannot be written.
    """
    bases = enumerate(model.bases)
    tensors: _Tensors = {f"base.{i}.{part}": array for i, base in bases for part, array in _parts(base)}
    if model.meta_linear is not None:
        tensors |= {f"meta.{part}": array for part, array in _parts(model.meta_linear)}
    if model.seen is not None:
        tensors[SEEN] = np.ascontiguousarray(model.seen)
    has_views = model.train_views != (PLAIN,) or any(each.others for each in model.backbones)
    version = VIEWS_VERSION if has_views or model.members else PLAIN_VERSION
    if model.thresholds is not None:
        tensors[THRESHOLDS] = np.ascontiguousarray(model.thresholds)
    if model.heads or model.targets or model.weights is not None or model.thresholds is not None:
        version = HEADS_VERSION
    if model.novelty is not None:
        tensors |= novelty_tensors(model.novelty, [each.name for each in model.backbones])
    newest = (model.novelty, model.class_weight, model.weight_column, model.transfer)
    if any(each is not None for each in newest):
        version = FORMAT_VERSION
    metadata = {"format": FORMAT, "format_version": str(version), "model": header_json(describe_model(model))}
    return write_tensors(Path(file), tensors, {**metadata, "sha256": _checksum(metadata, tensors)})


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
        return parse_model(described, tensors, int(metadata["format_version"]))
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
    if metadata.get("format") == DETECTOR_FORMAT:
        message = (
            f"{file} is a detection model, which `stackbone detect --save` wrote: it finds objects, and what labels "
            "images was expected here. `stackbone predict` and `stackbone evaluate` take it"
        )
        raise ModelError(message)
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


def _refuse(file: Path, found: str, cause: BaseException | None = None) -> NoReturn:
    message = (
        f"{file} is not a valid model: {found}. Nothing in it was run or used. "
        "Copy it again from an intact file, or fit it again with `stackbone stack --save FILE`"
    )
    raise ModelError(message) from cause
