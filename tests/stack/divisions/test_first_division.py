"""The advice on folds that follows an extraction works as typed, or says why there is none."""

import numpy as np
import pytest

from stackbone.cache import DatasetIndex, FileStamps, StackError
from stackbone.stack.divisions import labelled_images
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.first_division import first_division
from stackbone.stack.divisions.labelled_images import label_images
from stackbone.stack.divisions.outer_folds import outer_folds


def made_index(labels: list[str], groups: list[str] | None = None, *, copies: int = 0) -> DatasetIndex:
    n = len(labels)
    digests = np.random.default_rng(0).integers(0, 256, (n, 32)).astype(np.uint8)
    digests[n - copies :] = digests[n - copies - 1]
    return DatasetIndex(
        name="photos",
        root="/photos",
        path=[f"{i}.jpg" for i in range(n)],
        label=labels,
        split=[""] * n,
        group=groups or [""] * n,
        image_sha256=digests,
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
    )


@pytest.mark.parametrize(
    ("labels", "options"),
    [
        (["a"] * 12 + ["b"] * 12, "--cv 3"),
        (["a"] * 20 + ["b"] * 15 + ["c"] * 2, "--cv 2"),
        (["a"] * 20 + ["b"] * 15 + ["c"], "--cv 3 --rare drop"),
    ],
)
def test_the_first_division_that_works_is_advised(labels: list[str], options: str) -> None:
    assert first_division(made_index(labels)) == options


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["a", "b"], "2 classes have fewer images than the 3 folds"),
        (["a"] * 40 + ["b"] * 2, "1 class has fewer images than the 3 folds asked for: 'b' \\(2\\)"),
        (["a"] * 9, "the one class 'a'"),
    ],
)
def test_images_that_no_division_suits_are_said_with_the_reason(labels: list[str], reason: str) -> None:
    with pytest.raises(StackError, match=reason):
        first_division(made_index(labels))


def test_copies_count_once_and_groups_stay_whole() -> None:
    labels = ["a"] * 12 + ["b"] * 12
    with pytest.raises(StackError, match=r"'b' \(1\)"):
        first_division(made_index(labels, copies=11))
    with pytest.raises(StackError, match="group"):
        first_division(made_index(labels, [f"{label}" for label in labels]))
    assert first_division(made_index(labels, [str(i // 2) for i in range(24)])) == "--cv 3"


@pytest.mark.parametrize("seed", range(30))
def test_classes_whose_numbers_are_ample_can_be_dealt(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(6, 10, rng.integers(2, 6))
    labels = [f"class {code}" for code, n in enumerate(sizes) for _ in range(n)]
    index = made_index([labels[row] for row in rng.permutation(len(labels))])
    index.image_sha256[:] = rng.integers(0, 256, index.image_sha256.shape)
    _, folds = outer_folds(label_images(index), Division(), advise=False)
    assert len(folds) == 3
    monkeypatch.setattr(labelled_images, "label_images", None)  # nothing is dealt
    assert first_division(index) == "--cv 3"


def test_copies_are_not_counted_on() -> None:
    index = made_index(["a"] * 8 + ["b"] * 9)
    index.image_sha256[8:13] = index.image_sha256[:5]  # of two classes: neither takes part
    assert first_division(index) == "--cv 3"
    index.image_sha256[8:14] = index.image_sha256[:6]
    with pytest.raises(StackError, match=r"'a' \(2\)"):
        first_division(index)


def test_unlabelled_and_failed_images_are_not_counted() -> None:
    index = made_index(["a"] * 12 + ["b"] * 12 + [""] * 4)
    assert first_division(index) == "--cv 3"
    index.status[12:24] = 1
    with pytest.raises(StackError, match="the one class 'a'"):
        first_division(index)


def test_quantities_are_advised_as_numbers() -> None:
    assert first_division(made_index([str(i / 4) for i in range(40)]), quantities=True) == "--task regression --cv 3"
