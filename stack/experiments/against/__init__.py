"""What changed between an experiment and an earlier one, of which a result file tells."""
