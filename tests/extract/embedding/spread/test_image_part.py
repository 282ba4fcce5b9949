"""Parts of a dataset are disjoint, complete and about equally large, whatever its order."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from stackbone.cache import Digests, UsageError
from stackbone.extract.embedding.spread.image_part import ImagePart, parse_part


def digests_of(n: int, seed: int = 0) -> Digests:
    content = b"".join(hashlib.sha256(f"{seed}/{i}".encode()).digest() for i in range(n))
    return np.frombuffer(content, np.uint8).reshape(n, 32)


@pytest.mark.parametrize("of", [1, 2, 3, 7, 16, 100, 999_983, 1_000_000])
@pytest.mark.parametrize("seed", range(3))
def test_every_image_is_in_exactly_one_part(of: int, seed: int) -> None:
    digests = digests_of(500, seed)
    heads = [int.from_bytes(row.tobytes()[:8], "big") % of + 1 for row in digests]  # the definition, in plain Python
    numbers = range(1, of + 1) if of < 1000 else sorted(set(heads))
    held = np.array([ImagePart(number, of).holds(digests) for number in numbers])
    assert (held.sum(axis=0) == 1).all()
    assert [numbers[place] for place in held.argmax(axis=0)] == heads


def test_the_part_of_an_image_depends_on_nothing_but_its_bytes() -> None:
    digests = digests_of(300)
    order = np.random.default_rng(0).permutation(300)
    part = ImagePart(3, 5)
    np.testing.assert_array_equal(part.holds(digests[order]), part.holds(digests)[order])
    np.testing.assert_array_equal(part.holds(digests[::3]), part.holds(digests)[::3])
    assert part.holds(digests[:0]).shape == (0,)


def test_parts_are_about_equally_large() -> None:
    sizes = [int(ImagePart(number, 16).holds(digests_of(16_000)).sum()) for number in range(1, 17)]
    assert sum(sizes) == 16_000
    assert 880 < min(sizes) < max(sizes) < 1120  # 1,000 with four standard deviations of 31


def test_a_part_is_read_as_it_is_typed() -> None:
    assert parse_part("3/16") == ImagePart(3, 16)
    assert parse_part(" 03/16 ") == ImagePart(3, 16)
    assert str(parse_part("1/1")) == "1/1"


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/2/3", "1.0/2", "1/1000001", "9" * 30])
def test_what_is_no_part_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"--part .* is no part: .* such as --part 3/16"):
        parse_part(text)
