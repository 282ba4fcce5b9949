"""One run over several processes or machines: which images are whose, and what each found out."""
