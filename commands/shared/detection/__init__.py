"""What the command `detect` asks for and prints, and what detection models print."""
