"""What models may score on labels that mean nothing: chance, and the most that luck explains."""
