"""Images through backbones into the cache, for new datasets, for predictions, and again as a proof."""
