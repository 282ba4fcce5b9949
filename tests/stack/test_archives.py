"""Models saved by every past release open with their exact values."""

import numpy as np
import pytest

from stackbone.stack import load_model
from tests.made.checkout import ARCHIVES


@pytest.mark.parametrize("version", [1, 2])
def test_an_archived_model_predicts_what_it_did(version: int) -> None:
    model = load_model(ARCHIVES / f"model-v{version}.stackbone")
    assert model.seen is None, "unknown"
    assert model.classes == ["cat", "dog", "größe"]
    assert [backbone.feature_set for backbone in model.backbones] == [
        "resnet50-ea2ab74516a4",
        "convnext-0dc2c3c4017b",
    ]
    assert model.score == {"accuracy": "0.905 ± 0.004 (3 folds)"}
    x = (np.arange(8).reshape(2, 4) / 8 - 0.5).astype(np.float32)
    assert np.exp(model.log_probabilities({"resnet50": x, "convnext": 2 * x})).tolist() == [
        pytest.approx([0.51396887, 0.31346450, 0.17256664]),
        pytest.approx([0.49859099, 0.27147497, 0.22993403]),
    ]
