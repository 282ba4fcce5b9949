"""What is predicted: classes or numbers."""
