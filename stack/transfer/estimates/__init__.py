"""What several methods estimate of two domains: moments, densities, kernels, neighbours, guessed labels."""
