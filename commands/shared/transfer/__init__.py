"""What the command `transfer` asks for and prints."""
