"""What a shard of maps to detect objects on must hold (see FORMAT.md, `map_shapes`)."""

from __future__ import annotations

import re

from stackbone.cache.records.feature_name import PYRAMID
from stackbone.cache.records.parts import RowForm
from stackbone.cache.records.spec import FeatureSpec

_LEVEL = re.compile(r"stride([1-9][0-9]{0,3})")


def strides_of(form: RowForm) -> list[int]:
    """Return the pixels from one cell to the next of each map of a row; none unless every part is such a map."""
    found = [_LEVEL.fullmatch(part.name) for part in form.parts]
    return [int(match[1]) for match in found if match] if form.map_shapes and None not in found else []


def pyramid_problem(spec: FeatureSpec, dtype: str, form: RowForm, *, has_sizes: bool) -> str:
    """Return what a shard with the output ``pyramid`` lacks, or ``""``; of another output nothing is asked."""
    if spec.output != PYRAMID:
        return ""
    strides = strides_of(form)
    if not form.map_shapes:
        found = "without map_shapes"
    elif not strides or strides != sorted({*strides}):
        found = (
            f"with the parts {[part.name for part in form.parts]}, not stride8, stride16 and so on, the finest first"
        )
    elif dtype != "float16":
        found = f"with features in {dtype}, not float16"
    elif not has_sizes:
        found = "without the sizes of its images"
    else:
        return ""
    return f"it is of the output {PYRAMID!r}, {found}"
