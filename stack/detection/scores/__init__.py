"""How well boxes were found: COCO's and Pascal VOC's average precision, intervals over images, thresholds."""
