"""What looks odd in a dataset: found before anything is computed, told in sentences."""
