"""What a result file says of a transfer, read with distrust: it may be of an earlier version, or anybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from stackbone.cache import StackboneError, StackError
from stackbone.cache.choices import check_choice
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.labelled_images import LEFT_OUT
from stackbone.stack.experiments.result_file import not_a_result, read_recorded
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.transfer.domains.reading import TASK, Asked
from stackbone.stack.transfer.domains.settings import parse_settings
from stackbone.stack.transfer.experiment import TRANSFER_FORMAT, TRANSFER_VERSION
from stackbone.stack.transfer.explanation import ClassGap, DomainGap, Explanation, LeastHelpful
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.scores import (
    POOLED,
    SOURCE_ONLY,
    TARGET_ONLY,
    MethodScore,
    Refusals,
    SettingScores,
)
from stackbone.stack.transfer.results.source_worth import SourceWorth, judged_together
from stackbone.stack.transfer.results.told import TransferResult

_T = TypeVar("_T")

WROTE = "`stackbone transfer --result FILE`"


def read_transfer(file: Path) -> TransferResult:
    """Return what `stack.transfer.results.result_file.write_transfer` wrote.

    Raises
    ------
    StackError
        If the file does not exist, is not a result of a transfer, or has a newer version.
    """
    raw = read_recorded(file, {TRANSFER_FORMAT: TRANSFER_VERSION}, WROTE)
    try:
        return _result(raw)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, StackboneError) as exc:
        found = f"it lacks {exc}" if isinstance(exc, KeyError) else str(exc)
        raise StackError(not_a_result(file, f"not all of it is as it was written ({found})", WROTE)) from exc


def _result(raw: Mapping[str, Any]) -> TransferResult:
    scores = _list(raw, "settings", _setting)
    folds = {len(one.folds) for each in scores for own in each.results for one in (own.score, *own.backbones.values())}
    if len(folds) != 1 or 0 in folds:
        message = f"its methods have scores of {sorted(folds)} folds, and all are scored on the same"
        raise ValueError(message)
    backbones = _table(raw["backbones"], str)
    if any(own.backbones.keys() != backbones.keys() for each in scores for own in each.results):
        message = "not every method has a score of each backbone"
        raise ValueError(message)
    is_split = raw["split"] is not None
    explained = raw["explanation"]
    if not explained["gaps"]:
        message = "it tells the gap of no backbone"
        raise ValueError(message)
    return TransferResult(
        asked=Asked(
            source=tuple(_list(raw, "source", _text)),
            target=_text(raw["target"]),
            dataset=_optional(raw["dataset"], _text),
            column=_optional(raw["domain_column"], _text),
            backbones=list(backbones.values()),
            split=_optional(raw["split"], _text),
            group_by=_text(raw["group_by"]),
        ),
        division=Division(
            task=TASK,
            cv=3 if is_split else _whole(raw["cv"]),
            repeats=_whole(raw["repeats"]),
            split=_optional(raw["split"], _text),
            group_by=_text(raw["group_by"]),
            near_duplicates=_optional(raw["near_duplicates"], _number),
            rare=_text(raw["rare"]),
            seed=_whole(raw["seed"]),
            dealing=_text(raw["dealing"]),
        ),
        sources=_list(raw, "source", _text),
        n_source=_whole(raw["n_source"]),
        n_target=_whole(raw["n_target"]),
        n_folds=folds.pop(),
        class_names=_list(raw, "classes", _text),
        backbones=backbones,
        left_out={why: _whole(n) for why, n in _table(raw["left_out"], int).items() if why in LEFT_OUT},
        scores=scores,
        notes=_list(raw, "notes", _text),
        warnings={_text(name): [_text(each) for each in said] for name, said in raw["warnings"].items()},
        explanation=Explanation(
            gaps=_list(explained, "gaps", _gap),
            least=_list(explained, "least", _least),
            n_hurting=_whole(explained["n_hurting"]),
        ),
        images_sha256=_text(raw.get("images_sha256", "")),
    )


def _setting(raw: Mapping[str, Any]) -> SettingScores:
    (setting,) = parse_settings(_text(raw["setting"]))
    results = _list(raw, "results", _method)
    best, ran = _text(raw["best_baseline"]), [each.method for each in results]
    effect = _optional(raw["source_effect"], _difference)
    check_choice("best baseline", best, ran)
    for name in (SOURCE_ONLY,) if effect is None else (TARGET_ONLY, POOLED):
        check_choice("baseline of the verdict", name, ran)
    return SettingScores(
        setting=setting,
        results=results,
        best_baseline=best,
        unfit=_table(raw["unfit"], str),
        predictions={},
        source_effect=effect,
        refusals=_optional(raw.get("open_set"), _refusals),
        sources=_sources(raw) if "sources" in raw else [],
    )


def _sources(raw: Mapping[str, Any]) -> list[SourceWorth]:
    def parse(each: Mapping[str, Any]) -> SourceWorth:
        by = _text(each["by"])
        check_choice("baseline of the sources", by, [POOLED, SOURCE_ONLY])
        without, why = _optional(each["without"], _score), _text(each["why"])  # of all others, where these lack
        return SourceWorth(
            source=_text(each["source"]),
            n_images=_whole(each["n_images"]),
            by=by,
            alone=_optional(each["alone"], _score),
            without=without,
            alone_gain=_optional(each["alone_gain"], _difference),
            gain=_optional(each["gain"], _difference),
            why_alone=_text(each.get("why_alone", "" if without is None else why)),
            why_without=why if without is None else "",
        )

    return judged_together(_list(raw, "sources", parse))


def _refusals(raw: Mapping[str, Any]) -> Refusals:
    if not raw["classes"]:
        message = "its open set has no class"
        raise ValueError(message)
    return Refusals(
        n_unknown=_whole(raw["n_unknown"]),
        unknown=_number(raw["unknown"]),
        n_known=_whole(raw["n_known"]),
        known=_number(raw["known"]),
        classes={_text(name): _number(share) for name, share in _table(raw["classes"], float).items()},
    )


def _method(raw: Mapping[str, Any]) -> MethodScore:
    name = _text(raw["method"])
    check_choice("method", name, list(METHODS))
    return MethodScore(
        method=name,
        family=_text(raw["family"]),
        setting=_text(raw["setting"]),
        score=_score(raw),
        backbones={_text(backbone): _score(each) for backbone, each in raw["backbones"].items()},
        chosen=dict(raw["chosen"]),
        difference=_optional(raw["difference"], _difference),
    )


def _score(raw: Mapping[str, Any]) -> ModelScore:
    numbers = {name: [_number(each) for each in raw[name]["folds"]] for name in METRICS if name in raw}
    return ModelScore(_text(raw["model"]), numbers.pop("accuracy"), numbers)


def _difference(raw: Mapping[str, Any]) -> Difference:
    return Difference(
        mean=_number(raw["mean"]),
        low=_optional(raw["low"], _number),
        high=_optional(raw["high"], _number),
        p_value=_optional(raw["p_value"], _number),
        method=_text(raw["method"]),
        confidence=_number(raw["confidence"]),
    )


def _gap(raw: Mapping[str, Any]) -> DomainGap:
    return DomainGap(
        backbone=_text(raw["backbone"]),
        a_distance=_number(raw["a_distance"]),
        squared_discrepancy=_number(raw["squared_discrepancy"]),
        p_value=_number(raw["p_value"]),
        classes={
            _text(name): ClassGap(_optional(each["own"], _number), _optional(each["nearest"], _number))
            for name, each in raw["classes"].items()
        },
    )


def _least(raw: Mapping[str, Any]) -> LeastHelpful:
    return LeastHelpful(
        domain=_text(raw["domain"]),
        path=_text(raw["path"]),
        label=_text(raw["label"]),
        influence=_number(raw["influence"]),
        sha256=_text(raw.get("sha256", "")),
    )


def _list(raw: Mapping[str, Any], key: str, parse: Callable[[Any], _T]) -> list[_T]:
    """Return the entries of a list, each parsed."""
    found = raw[key]
    if not isinstance(found, list):
        message = f"{key} is no list"
        raise TypeError(message)
    return [parse(each) for each in found]


def _table(raw: object, kind: type[_T]) -> dict[str, _T]:
    if not isinstance(raw, dict) or not all(isinstance(each, kind) for each in raw.values()):
        message = f"{raw!r} is no table of {kind.__name__}"
        raise TypeError(message)
    return raw


def _optional(raw: Any, parse: Callable[[Any], _T]) -> _T | None:  # noqa: ANN401 - any JSON
    return None if raw is None else parse(raw)


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        message = f"{raw!r} is no text"
        raise TypeError(message)
    return raw


def _whole(raw: object) -> int:
    if type(raw) is not int or raw < 0:
        message = f"{raw!r} is no number of anything"
        raise TypeError(message)
    return raw


def _number(raw: object) -> float:
    if type(raw) not in (int, float):
        message = f"{raw!r} is no number"
        raise TypeError(message)
    return float(raw)  # type: ignore[arg-type] # its type was asked for
