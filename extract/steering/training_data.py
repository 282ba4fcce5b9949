"""What a network is trained on: batches of images, or of features where the backbone stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stackbone.cache.progress import Steps
from stackbone.extract.steering.batches import PixelStore
from stackbone.extract.steering.mixed_precision import mixed_precision
from stackbone.extract.steering.options import RELEASED, SteerOptions

_PLAIN_BATCH = 64  # where nothing is kept for gradients
_ORDER = 1  # tells the draw of an epoch's order from the draws of its crops

Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    """Inputs of the network with class codes (B,) int64, on the CPU.

    Attributes
    ----------
    n_training, n_validation
        Images of each part.
    """

    n_training: int
    n_validation: int

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the training part in the order of an epoch, 0 the first."""
        ...

    def validation(self) -> Iterator[Batch]:
        """Yield the validation part."""
        ...


class ImageBatches:
    """Pixels (B, H, W, 3) uint8 from a store; `codes` (n,) int64 are the classes of its rows."""

    def __init__(
        self,
        store: PixelStore,
        codes: NDArray[np.int64],
        training: NDArray[np.int64],
        validation: NDArray[np.int64],
        options: SteerOptions,
    ) -> None:
        self._store, self._codes, self._options = store, codes, options
        self._training, self._validation = training, validation
        self.n_training, self.n_validation = len(training), len(validation)

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the training part, shuffled, and cropped at random unless the options say not to."""
        options = self._options
        rows = _shuffled(self._training, options.seed, epoch).tolist()
        if options.augment:
            area = None if options.recipe == RELEASED else options.crop_area
            drawn = self._store.random_batches(rows, options.batch_size, area=area, seed=options.seed, epoch=epoch)
            return self._paired(drawn)
        return self._paired(self._store.plain_batches(rows, options.batch_size))

    def validation(self) -> Iterator[Batch]:
        """Yield the validation part."""
        return self._paired(self._store.plain_batches(self._validation.tolist(), _PLAIN_BATCH))

    def _paired(self, batches: Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]) -> Iterator[Batch]:
        for rows, pixels in batches:
            yield torch.from_numpy(pixels), torch.from_numpy(self._codes[rows])


class FeatureBatches:
    """Features (n_views, n, dim) computed once, for a head on a backbone that stays as it is.

    It is trained on those views of the training part that are `learnt`, and validated on the first.
    """

    def __init__(
        self,
        features: Tensor,
        codes: NDArray[np.int64],
        training: NDArray[np.int64],
        validation: NDArray[np.int64],
        options: SteerOptions,
        learnt: Sequence[int] = (0,),
    ) -> None:
        n_views, n = features.shape[:2]
        self._features = features.flatten(0, 1)
        self._codes, self._options = torch.from_numpy(np.tile(codes, n_views)), options
        self._training = np.concatenate([view * n + training for view in learnt])
        self._validation = validation
        self.n_training, self.n_validation = len(self._training), len(validation)

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the training part, shuffled."""
        return self._batches(_shuffled(self._training, self._options.seed, epoch), self._options.batch_size)

    def validation(self) -> Iterator[Batch]:
        """Yield the validation part."""
        return self._batches(self._validation, max(1, self.n_validation))

    def _batches(self, rows: NDArray[np.int64], size: int) -> Iterator[Batch]:
        for part in torch.split(torch.from_numpy(rows), size):
            yield self._features[part], self._codes[part]


def _shuffled(rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch, _ORDER]).permutation(rows)


@torch.inference_mode()
def embed_once(
    network: nn.Module,
    store: PixelStore,
    n: int,
    rows: NDArray[np.int64],
    views: Sequence[str],
    device: torch.device,
    autocast: torch.dtype | None,
    on_progress: Steps,
) -> Tensor:
    """Return the features (n_views, n, dim) float32, on the CPU, of the rows of a store; of others they are zero."""
    parts = []
    n_done = 0
    for view in views:
        for part, pixels in store.view_batches(rows.tolist(), _PLAIN_BATCH, view):
            with mixed_precision(device, autocast):
                parts.append(network(torch.from_numpy(pixels).to(device)).cpu())
            n_done += len(part)
            on_progress(n_done, len(views) * len(rows))
    found = torch.cat(parts)
    features = torch.zeros(len(views), n, found.shape[1])
    features[:, torch.from_numpy(rows)] = found.view(len(views), len(rows), -1)
    return features
