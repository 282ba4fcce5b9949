"""A detection experiment run again as a result file records it, and compared with what the file says."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stackbone.cache import FeatureStore, StackError
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import printable, typed
from stackbone.stack.detection.head import PRECISIONS
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.detection.records.fingerprint import images_digest
from stackbone.stack.detection.results.result_file import WROTE, read_detection
from stackbone.stack.detection.run import carry_out, plan_detection
from stackbone.stack.experiments.result_file import not_a_result
from stackbone.stack.folds.dealing import DEALINGS

_NOTHING = type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    "dataset": (str,),
    "images_sha256": (str,),
    "tested": (str, _NOTHING),
    "n_images": (int,),
    "n_boxes": (int,),
    "cv": (int, _NOTHING),
    "split": (str, _NOTHING),
    "seed": (int,),
    "group_by": (str,),
    "near_duplicates": (int, float, _NOTHING),
    "dealing": (str,),
    "backbones": (dict,),
    "heads": (list,),
    "settings": (dict,),
    "scores": (list,),
}
_SETTINGS = {"epochs": 1, "precision": PRECISIONS[0]}  # a value of each, of its type
_SAME = {"rel_tol": 1e-6, "abs_tol": 1e-9}  # another machine rounds otherwise; another training shows in more digits
_TIMES = "seconds"


def reproduce_detection(file: Path, store: FeatureStore, *, progress: Progress | None = None) -> DetectionExperiment:
    """Return the experiment of a result again: with what was kept of it, nothing is trained.

    Parameters
    ----------
    file : Path
        What `result_file.write_detection` wrote.
    store : FeatureStore
        The cache that it was made with.
    progress : callable, optional
        See `cache.progress.Progress`.

    Returns
    -------
    DetectionExperiment
        Whose numbers are those of the file.

    Raises
    ------
    StackError
        If the file is not a valid result, or is of a saved model that was tested; if images, sizes or boxes are others
        now, or maps are gone: all that before anything is trained. If the scores are different.
    CacheError, UsageError
        If the cache lacks the dataset or is damaged.
    """
    recorded = read_detection(file)
    told = progress or silent
    planned = plan_detection(store, **_arguments(recorded, file), progress=told)
    annotated = planned.annotated
    if images_digest(annotated) != recorded["images_sha256"]:
        was, now = (recorded["n_images"], recorded["n_boxes"]), (len(annotated), annotated.n_boxes)
        found = f"it is of {was[0]:,} images with {was[1]:,} boxes, and there are {now[0]:,} with {now[1]:,}"
        if was == now:
            found = f"its {was[0]:,} images with {was[1]:,} boxes are others, or their boxes, classes or sizes are"
        raise StackError(_changed(file, store, found, recorded))
    experiment = carry_out(planned, progress=told)
    difference = _first_difference(recorded["scores"], experiment.to_dict()["scores"])
    if difference is not None:
        raise StackError(_changed(file, store, difference, recorded))
    return experiment


def _arguments(recorded: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return the arguments of `plan_detection`."""
    for name, kinds in _KINDS.items():
        if name not in recorded or type(recorded[name]) not in kinds:
            found = f"its field {name!r} is missing or of another type"
            raise StackError(not_a_result(file, found, WROTE))
    if recorded["tested"] is not None:
        message = (
            f"{printable(str(file))} is of {printable(recorded['tested'])}: a test of a model is not run again. Type "
            "`stackbone evaluate DATA --model FILE --report PAGE.html` for its report"
        )
        raise StackError(message)
    if (recorded["cv"] is None) == (recorded["split"] is None):
        raise StackError(not_a_result(file, "it names both folds and a split, or neither", WROTE))
    if not 0 <= recorded["seed"] < 1 << 32 or recorded["dealing"] not in DEALINGS:
        raise StackError(not_a_result(file, "its seed is out of range, or its dealing is unknown", WROTE))
    if not recorded["heads"] or not all(isinstance(each, str) for each in recorded["heads"]):
        raise StackError(not_a_result(file, "its heads are no names", WROTE))
    same = ("dataset", "cv", "split", "group_by", "near_duplicates", "seed", "dealing", "heads")
    return {
        **{name: recorded[name] for name in same},
        "recorded": _feature_sets(recorded["backbones"], file),
        **_settings(recorded["settings"], file),
    }


def _feature_sets(backbones: dict[str, Any], file: Path) -> dict[str, list[str]]:
    for ids in backbones.values():
        if not isinstance(ids, list) or len(ids) not in (1, 2) or not all(isinstance(each, str) for each in ids):
            raise StackError(not_a_result(file, "its backbones do not name one or two feature sets each", WROTE))
    if not backbones:
        raise StackError(not_a_result(file, "it names no backbone", WROTE))
    return backbones


def _settings(settings: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return the arguments that say what was asked of heads: each has one value, whichever heads have the setting."""
    asked: dict[str, Any] = {}
    for each in settings.values():
        if not isinstance(each, dict) or not each or not set(each) <= _SETTINGS.keys():
            raise StackError(not_a_result(file, "its settings of heads are not as they are written", WROTE))
        for name, value in each.items():
            if type(value) is not type(_SETTINGS[name]) or asked.setdefault(name, value) != value:
                found = f"its settings of heads have {name!r} of several values or of another type"
                raise StackError(not_a_result(file, found, WROTE))
    if asked.get("epochs", 1) < 1 or asked.get("precision", PRECISIONS[0]) not in PRECISIONS:
        raise StackError(not_a_result(file, "its epochs are not above 0, or its precision is unknown", WROTE))
    return {"epochs": None, "precision": PRECISIONS[0], **asked}


def _changed(file: Path, store: FeatureStore, found: str, recorded: dict[str, Any]) -> str:
    by, here = recorded.get("stackbone"), version("stackbone")
    versions = "" if by == here else f" (it was recorded by Stackbone {printable(str(by))}, and this is {here})"
    again = typed("stackbone", "detect", "--dataset", recorded["dataset"])
    return (
        f"{printable(str(file))} does not describe what is in the cache {store.root} now: {found}{versions}. Run "
        f"`{again}` with its options and --result again to record what is there"
    )


def _first_difference(before: list[Any], now: list[Any]) -> str | None:
    """Return in words the first number that is not as recorded."""
    old, new = ({path: value for each in scores for path, value in _numbers(each)} for scores in (before, now))
    if old.keys() != new.keys():
        return f"only one of the two has {printable(min(old.keys() ^ new.keys()))}"
    for path, value in old.items():
        here = new[path]
        both_known = value is not None and here is not None
        if not (math.isclose(value, here, **_SAME) if both_known else value is here):
            return f"it records {_shown(value)} for {printable(path)}, which is {_shown(here)}"
    return None


def _numbers(value: object, path: str = "") -> list[tuple[str, Any]]:
    """Return all numbers of a score but its time, each with the way to it, in words."""
    if isinstance(value, dict):
        model = str(value.get("model", "")) if not path else ""
        parts = {f"{path}{model} {key}".strip(): each for key, each in value.items() if key not in ("model", _TIMES)}
    elif isinstance(value, list):
        parts = {f"{path} {number}": each for number, each in enumerate(value, start=1)}
    else:
        is_number = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
        return [(path, value if is_number else math.nan)]
    return [found for key, each in parts.items() for found in _numbers(each, key)]


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"
