"""How the result of a module becomes features: maps, tokens or vectors, pooled or position by position."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Reading:
    """How a module's result, or the features at the end, are read.

    Attributes
    ----------
    layout
        ``map`` (B, d, h, w), ``map-last`` (B, h, w, d), ``tokens`` (B, N, d) or ``vector`` (B, d).
    width
        d.
    n_prefix
        How many tokens stand before those of the patches.
    has_cls
        Whether the first of them is a class token.
    """

    layout: str
    width: int
    n_prefix: int = 0
    has_cls: bool = False

    @property
    def pooled_parts(self) -> tuple[str, ...]:
        """Names of what `pool` returns."""
        return ("cls", "mean") if self.has_cls else ("mean",)

    def pool(self, x: Tensor) -> list[Tensor]:
        """Return the class token, if there is one, and the mean over positions or patch tokens, each (B, d) float32."""
        x = x.float()
        if self.layout == "vector":
            return [x]
        if self.layout == "tokens":
            mean = x[:, self.n_prefix :].mean(1)
            return [x[:, 0], mean] if self.has_cls else [mean]
        return [x.mean((1, 2) if self.layout == "map-last" else (2, 3))]

    def positions(self, x: Tensor) -> Tensor:
        """Return the features of every position, or patch token, (B, n, d) float32, row by row from the top left."""
        x = x.float()
        if self.layout == "tokens":
            return x[:, self.n_prefix :]
        return x.flatten(1, 2) if self.layout == "map-last" else x.flatten(2).transpose(1, 2)
