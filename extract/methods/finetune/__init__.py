"""Fine-tuning: the last blocks of any network, or all of them, trained further."""
