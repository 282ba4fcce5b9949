"""What a detection experiment says to people: its table, its verdict, and rows for files."""
