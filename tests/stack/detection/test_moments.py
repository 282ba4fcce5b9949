"""Moments of feature maps are those of all cells of the images that are drawn."""

from __future__ import annotations

import numpy as np

from stackbone.stack.detection.moments import MOST_IMAGES, moments
from stackbone.stack.detection.source import HeldMaps
from tests.made.planted_maps import PlantedMaps, planted_images


def test_moments_are_those_of_numpy_over_images_and_cells() -> None:
    source = PlantedMaps(planted_images(0, 20))
    found = moments(HeldMaps(source, source.digests), 20, 3)
    assert len(found) == 3
    for own, level in zip(found, source.read(source.digests), strict=True):
        values = level.reshape(-1, level.shape[-1]).astype(np.float64)
        floor = 0.05 * values.std(axis=0).mean()
        np.testing.assert_allclose(own.mean, values.mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(own.scale, 1 / np.maximum(values.std(axis=0), floor), rtol=1e-4)


def test_no_more_images_are_read_than_moments_need_and_the_seed_draws_them() -> None:
    boxes = planted_images(0, MOST_IMAGES + 6)
    source = PlantedMaps(boxes)
    maps = HeldMaps(source, source.digests, held_bytes=0)
    first, again, other = (moments(maps, len(boxes), seed)[0] for seed in (0, 0, 1))
    assert source.images_read == 3 * MOST_IMAGES
    assert np.array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)


def test_a_channel_that_does_not_move_is_not_blown_up() -> None:
    source = PlantedMaps(planted_images(0, 6))
    for level in source._maps:
        level[..., 0] = 3
    for own in moments(HeldMaps(source, source.digests), 6, 0):
        assert own.mean[0] == 3
        assert np.isfinite(own.scale).all()
        assert own.scale[0] <= 20 * np.median(own.scale[1:]) * 5
