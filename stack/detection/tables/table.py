"""A detection experiment as tables for people: a row a detector, and a row a class."""

from __future__ import annotations

from stackbone.cache.text import counted
from stackbone.stack.detection.records.experiment import BEST, FUSION, DetectionExperiment, DetectorScore

_MOST_CLASSES = 20  # shown of a second table; a file of rows has all
_CLASS_COLUMNS = 5  # as columns of the first table; more get a table of their own


def title(experiment: DetectionExperiment) -> str:
    """Return what was evaluated and how, in one line."""
    images, boxes = counted(experiment.n_images, "image"), counted(experiment.annotated.n_boxes, "box", "boxes")
    classes = counted(len(experiment.classes), "class", "classes")
    return f"{experiment.dataset}: {images}, {boxes}, {classes}; {experiment.how}, seed {experiment.division.seed}"


def header(experiment: DetectionExperiment) -> list[str]:
    """Return the first table's column titles."""
    voc = ["VOC 11-point"] if experiment.scores[0].voc else []
    classes = experiment.classes if len(experiment.classes) <= _CLASS_COLUMNS else ()
    return ["model", "AP50", "95% interval", "AP50:95", *voc, *classes, "seconds", "what it is"]


def rows(experiment: DetectionExperiment) -> list[list[str]]:
    """Return one row of cells for each detector, in the order of `header`."""
    few = len(experiment.classes) <= _CLASS_COLUMNS
    found = []
    for each in experiment.scores:
        voc = [number(each.voc["11 points"])] if each.voc else []
        classes = [number(each.per_class[name]) for name in experiment.classes] if few else []
        ends = f"{each.low:.3f} to {each.high:.3f}"
        found.append(
            [
                each.model,
                number(each.ap50),
                ends,
                number(each.ap),
                *voc,
                *classes,
                f"{each.seconds:,.0f}",
                what(experiment, each),
            ]
        )
    return found


def main_row(experiment: DetectionExperiment) -> int:
    """Return the row of the detector that the experiment is about."""
    return [each.model for each in experiment.scores].index(experiment.main)


def what(experiment: DetectionExperiment, score: DetectorScore) -> str:
    """Return what a detector is, in a few words."""
    folds = experiment.detectors[score.model]
    if score.model == BEST:
        chosen = list(dict.fromkeys(each.chosen for each in folds))
        return f"chosen inside the training part: {', '.join(filter(None, chosen))}"
    if score.model.endswith(f":{FUSION}"):
        means = {
            name: sum((each.weights or {})[name] for each in folds) / len(folds) for name in folds[0].weights or {}
        }
        return "boxes of all backbones fused, weights " + ", ".join(f"{name} {w:.2f}" for name, w in means.items())
    return "one head on one backbone"


def has_class_table(experiment: DetectionExperiment) -> bool:
    """Return whether classes are too many for columns of the first table."""
    return len(experiment.classes) > _CLASS_COLUMNS


def class_header(experiment: DetectionExperiment) -> list[str]:
    """Return the second table's column titles: AP50 by class of each detector."""
    return ["class", "boxes", *(each.model for each in experiment.scores)]


def class_rows(experiment: DetectionExperiment) -> list[list[str]]:
    """Return a row for each class, those with the most boxes first."""
    counts = box_counts(experiment)
    names = sorted(experiment.classes, key=lambda name: (-counts[name], name))
    return [
        [name, f"{counts[name]:,}", *(number(each.per_class[name]) for each in experiment.scores)]
        for name in names[:_MOST_CLASSES]
    ]


def footnotes(experiment: DetectionExperiment) -> list[str]:
    """Return a line on each score whose title does not say what it is."""
    folds = "" if len(experiment.folds) == 1 else "mean over folds of the "
    notes = [
        f"AP50: {folds}mean over classes of average precision, a box being right from an overlap of one half on; "
        "AP50:95: the same, mean over the overlaps .5 to .95; interval: tested images drawn with replacement",
    ]
    if experiment.scores[0].voc:
        notes.append("VOC 11-point: AP50 as Pascal VOC 2007 interpolates it, by which its articles are compared")
    more = len(experiment.classes) - _MOST_CLASSES
    if more > 0:
        notes.append(f"{more:,} more classes are in --json and --csv")
    return notes


def box_counts(experiment: DetectionExperiment) -> dict[str, int]:
    """Return how many boxes there are of each class."""
    counts = dict.fromkeys(experiment.classes, 0)
    for each in experiment.annotated.boxes:
        for name in each.classes:
            counts[name] += 1
    return counts


def score_rows(experiment: DetectionExperiment) -> list[dict[str, str | float | None]]:
    """Return a row for each detector and class, and one of all classes, for files."""
    found: list[dict[str, str | float | None]] = []
    for each in experiment.scores:
        whole: dict[str, str | float | None] = {
            "model": each.model,
            "class": "",
            "ap50": each.ap50,
            "low": each.low,
            "high": each.high,
            "ap": each.ap,
            "voc_11_point": each.voc["11 points"] if each.voc else None,
            "seconds": each.seconds,
        }
        found.append(whole)
        for name, ap50 in each.per_class.items():
            found.append({**dict.fromkeys(whole), "model": each.model, "class": name, "ap50": ap50})
    return found


def number(value: float | None) -> str:
    """Return a score for a table."""
    return "-" if value is None else f"{value:.3f}"
