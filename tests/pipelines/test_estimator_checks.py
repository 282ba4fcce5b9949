"""scikit-learn's checks of estimators on ImageEmbedder, which takes images: each row of their numbers is drawn as one.

Every check is to pass but for those in `DIFFERENCES`, each with its reason; docs/notebooks.md lists the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import sklearn.utils.estimator_checks as checks
from sklearn.utils.validation import check_array

import stackbone as sb
from tests.pipelines.test_embedder import MODULES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")


def drawn(x: Any) -> Any:  # noqa: ANN401 - whatever a check makes
    """Return a picture of each row of numbers, ``(n, 8, dim, 3) uint8``."""
    numbers = check_array(x, dtype=np.float64)
    pixels = (255 / (1 + np.exp(-numbers))).round().astype(np.uint8)
    return np.broadcast_to(pixels[:, None, :, None], (len(pixels), 8, pixels.shape[1], 3)).copy()


class ImageEmbedder(sb.ImageEmbedder):
    """Ours, of rows of numbers."""

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ANN401
        return super().fit(drawn(X), y)

    def fit_transform(self, X: Any, y: object = None) -> Any:  # noqa: ANN401
        return super().fit_transform(drawn(X), y)

    def transform(self, X: Any) -> Any:  # noqa: ANN401
        return super().transform(drawn(X)) if hasattr(self, "specs_") else super().transform(X)


DIFFERENCES = {
    "check_transformer_general": "it wants fewer columns refused than fit saw: images have none, and any size is taken",
}


def name_of(check: Callable[..., None]) -> str:
    return check.func.__name__ if isinstance(check, partial) else check.__name__


def all_checks() -> list[Callable[..., None]]:
    """Return the checks that scikit-learn would run if it had images; it says that it has none, and runs nothing."""
    embedder = ImageEmbedder()
    found = [
        checks.check_estimator_cloneable,
        *checks._yield_api_checks(embedder),
        *checks._yield_checks(embedder),
        *checks._yield_transformer_checks(embedder),
        checks.check_parameters_default_constructible,
        checks.check_methods_sample_order_invariance,
        checks.check_methods_subset_invariance,
        checks.check_fit2d_1sample,
        checks.check_fit2d_1feature,
        checks.check_get_params_invariance,
        checks.check_set_params,
        checks.check_dict_unchanged,
        checks.check_fit_idempotent,
        checks.check_fit_check_is_fitted,
        checks.check_transformer_get_feature_names_out,
        checks.check_transformer_get_feature_names_out_pandas,
        checks.check_set_output_transform,
        checks.check_set_output_transform_pandas,
        checks.check_global_output_transform_pandas,
    ]
    return [each for each in found if "array_api" not in name_of(each)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("check", all_checks(), ids=name_of)
def test_scikit_learns_check_passes(check: Callable[..., None], cache: Path, request: pytest.FixtureRequest) -> None:
    if reason := DIFFERENCES.get(name_of(check)):
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    check("ImageEmbedder", ImageEmbedder(modules=MODULES[:1], cache=cache))
