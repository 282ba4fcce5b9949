"""The head of published transfer articles: one convolution, one dense layer, a fixed number of boxes."""
