"""Files as the operating system has them: whole or not at all, regular, bounded, and told apart by content."""
