"""The verdict of a detection experiment: what fusing backbones gains over the best single one, and how sure that is."""

from __future__ import annotations

from stackbone.stack.detection.records.experiment import BEST, DetectionExperiment
from stackbone.stack.tables.verdict import Verdict


def verdict(experiment: DetectionExperiment) -> Verdict:
    """Return the comparison of the main detector with the best single one, in words."""
    main = experiment.score(experiment.main)
    if experiment.gain is None:
        others = [each for each in experiment.scores if each.model not in (main.model, BEST)]
        best = max(others, key=lambda each: each.ap50, default=None)
        beside = None
        if best is not None:
            sign = "better" if best.ap50 > main.ap50 else "worse"
            beside = f"{best.model} is {abs(best.ap50 - main.ap50):.3f} {sign} ({best.ap50:.3f})."
        said = f"{main.model} has an AP50 of {main.ap50:.3f} ({main.low:.3f} to {main.high:.3f})."
        return Verdict(
            said, "With one backbone there is nothing to fuse: extract the images with another one to compare.", beside
        )
    single, gain = experiment.score(BEST), experiment.gain
    interval = None
    if gain.low is not None and gain.high is not None:
        doubt = "" if gain.excludes_zero else ": no clear difference, it may be chance"
        interval = f"95% interval of the difference: {gain.low:+.3f} to {gain.high:+.3f} ({gain.method}){doubt}."
    pair = f"the best single backbone ({single.ap50:.3f}), chosen inside the training part"
    if gain.mean > 0:
        said = f"{main.model} ({main.ap50:.3f}) beats {pair}, by {gain.mean:.3f} AP50."
    elif gain.mean < 0:
        said = f"{main.model} ({main.ap50:.3f}) is {-gain.mean:.3f} AP50 worse than {pair}: fusing does not help here."
    else:
        said = f"{main.model} ({main.ap50:.3f}) is as good as {pair}."
    return Verdict(said, interval, None, is_clear=gain.excludes_zero)
