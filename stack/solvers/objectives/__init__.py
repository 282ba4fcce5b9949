"""What linear classifiers minimise: losses with their derivatives, and the problems that objectives are made of."""
