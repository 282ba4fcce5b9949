"""Datasets in the form of Pascal VOC: where they keep images and annotations, and what one of these says."""
