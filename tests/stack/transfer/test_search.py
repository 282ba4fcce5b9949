"""The quick search of C finds what the exact one does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from stackbone.stack.learners.searching.regression_search import choose_c
from stackbone.stack.transfer.classifier import STRENGTHS, inner_folds
from stackbone.stack.transfer.estimates.search import search_strength
from stackbone.stack.transfer.method import Codes
from tests.made.domains import two_domains

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.mark.parametrize("apart", [0.0, 1.0, 3.0])
def test_the_same_strength_is_found_with_nearly_the_same_scores(apart: float) -> None:
    domains, _, _ = two_domains(apart=apart, dim=30)
    x, codes = domains.source, domains.source_labels
    folds = inner_folds(codes, 0)
    assert folds is not None

    def log_loss(said: np.ndarray, rows: Codes) -> float:
        return -float(log_softmax(said.astype(np.float64), axis=1)[np.arange(len(rows)), codes[rows]].mean())

    c, said = search_strength(x, codes, folds, STRENGTHS, log_loss)
    expected, exact = choose_c(x, codes, 3, folds, STRENGTHS)
    assert c == expected
    everything = np.arange(len(codes))
    assert log_loss(said, everything) == pytest.approx(log_loss(exact, everything), rel=5e-3)
