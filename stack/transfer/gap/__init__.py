"""How far two domains are apart, and which images of the source help least: numbers that explain a verdict."""
