"""Features that a user gives are kept under their name and what the user says of them, once they are features."""

from __future__ import annotations

import ast
import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import CacheError, FeatureSpec, FeatureStore, UsageError
from stackbone.cache import store as store_module
from stackbone.cache.records.given import is_given
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.verify import verify

FROM = {"model": "my_net", "weights file": "run 7"}


def digests(n: int, first: int = 0) -> NDArray[np.uint8]:
    names = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(first, first + n))
    return np.frombuffer(names, np.uint8).reshape(n, 32)


def rows(n: int, seed: int = 0, dtype: Any = np.float32) -> Any:  # noqa: ANN401 - NumPy's types
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(dtype)


def test_given_features_are_a_feature_set(store: FeatureStore) -> None:
    x = rows(5)
    found = store.add_features("mine", digests(5), x, FROM)
    assert [each.id for each in store.feature_sets()] == [found.id]
    assert found.backbone == "mine"
    np.testing.assert_array_equal(found.load(digests(5)[::-1]), x[::-1])
    header = found.header()
    assert is_given(header.spec)
    assert header.spec == FeatureSpec.from_json(header.spec.to_json())
    assert {name: header.provenance[name] for name in FROM} == FROM
    assert "created" in header.provenance
    assert verify(store).findings == []


def test_digests_may_be_texts_and_features_halves(store: FeatureStore) -> None:
    x = rows(3, dtype=np.float16)
    found = store.add_features("mine", [row.tobytes().hex().upper() for row in digests(3)], x, FROM)
    assert found.header().dtype == "float16"
    np.testing.assert_array_equal(found.load(digests(3)), x.astype(np.float32))
    assert found.id != store.add_features("mine", digests(3), rows(3), FROM).id


def test_further_images_join_under_the_same_name_and_provenance(store: FeatureStore) -> None:
    first = store.add_features("mine", digests(3), rows(3), FROM)
    again = store.add_features("mine", digests(5), np.vstack([rows(3), rows(2, seed=1)]), dict(reversed(FROM.items())))
    assert first.id == again.id
    assert len(first.digests()) == 5
    assert (
        store.add_features("mine", digests(5), np.vstack([rows(3), rows(2, seed=1)]), FROM).shards() == first.shards()
    )
    assert store.add_features("mine", digests(3), rows(3), {"model": "another"}).id != first.id
    assert store.add_features("theirs", digests(3), rows(3), FROM).id != first.id


def test_many_rows_are_written_in_pieces(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_GIVEN_BYTES", 2 * 16)
    found = store.add_features("mine", digests(5), rows(5), FROM)
    assert len(found.shards()) == 3
    compact(found)
    np.testing.assert_array_equal(found.load(digests(5)), rows(5))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": rows(5) + 1}, "holds other features of 3 images of those given, such as of"),
        ({"features": np.ones((5, 6), np.float32)}, "have 4 columns, and those given 6"),
    ],
)
def test_what_contradicts_rows_that_are_there_is_refused(
    store: FeatureStore, change: dict[str, Any], words: str
) -> None:
    found = store.add_features("mine", digests(3), rows(3), FROM)
    with pytest.raises(CacheError) as caught:
        store.add_features(**{"name": "mine", "digests": digests(5), "features": rows(5), "provenance": FROM, **change})
    assert words in str(caught.value)
    assert "another name or provenance" in str(caught.value)
    assert len(found.digests()) == 3


NAN = rows(3)
NAN[1, 2] = np.nan
LARGE = rows(3, dtype=np.float16)
LARGE[2] = np.inf
TWICE = digests(3).copy()
TWICE[2] = TWICE[0]
ZERO = digests(3).copy()
ZERO[1] = 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": rows(3, dtype=np.float64)}, "features are float64; expected a NumPy array of float32 or float16"),
        ({"features": rows(3).astype(int)}, "features are int64"),
        ({"features": rows(3).tolist()}, "features are list"),
        ({"features": rows(3)[:, 0]}, "features are (3,) for 3 digests; expected (3, dim)"),
        ({"features": rows(3)[:, :0]}, "features are (3, 0) for 3 digests"),
        ({"features": rows(2)}, "features are (2, 4) for 3 digests"),
        ({"features": NAN}, "1 of 3 rows hold features that are not finite, first row 1"),
        ({"features": LARGE}, "1 of 3 rows hold features that are not finite, first row 2"),
        ({"digests": TWICE}, "1 of 3 digests are doubles, the first of row 0"),
        ({"digests": ZERO}, "the digest of row 1 is zero"),
        ({"digests": digests(3).astype(np.int64)}, "the digest of row 0 is array("),
        ({"digests": digests(3)[:, :31]}, "digests are (3, 31) uint8; expected (n, 32)"),
        ({"digests": ["ab" * 32, "cd" * 31, "ef" * 32]}, "the digest of row 1 is 'cdcd"),
        ({"digests": ["ab" * 32, "xy" * 32, "ef" * 32]}, "the digest of row 1 is 'xyxy"),
        ({"digests": ["a.jpg", "b.jpg", "c.jpg"]}, "the digest of row 0 is 'a.jpg'; expected 64 hex digits"),
        ({"digests": [], "features": rows(0)}, "features are (0, 4) for 0 digests"),
        ({"provenance": {}}, "say where the features come from"),
        ({"provenance": "my net"}, "say where the features come from"),
        ({"provenance": {"epoch": 7}}, "the provenance has 'epoch': 7, where texts are expected"),
        ({"provenance": {"created": "today"}}, "the key 'created', which Stackbone writes itself"),
        ({"provenance": {"a": "x" * 20_001}}, "at most 20,000 are kept"),
        ({"name": "my features"}, "'my features' cannot name features"),
        ({"name": ""}, "'' cannot name features"),
        ({"name": "timm:resnet18"}, "cannot name features"),
        ({"name": "all"}, "'all' cannot name features"),
    ],
    ids=str,
)
def test_what_are_no_features_is_refused_and_nothing_written(
    store: FeatureStore, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        store.add_features(**{"name": "mine", "digests": digests(3), "features": rows(3), "provenance": FROM, **change})
    assert words in str(caught.value)
    assert store.feature_sets() == []


def test_the_provenance_that_a_refusal_suggests_is_taken(store: FeatureStore) -> None:
    with pytest.raises(UsageError) as caught:
        store.add_features("mine", digests(3), rows(3), {})
    suggested = ast.literal_eval(str(caught.value).partition("such as ")[2].partition(";")[0])
    given = store.add_features("mine", digests(3), rows(3), suggested)
    np.testing.assert_array_equal(given.load(digests(3)), rows(3))
