"""What a label's text says where it is more than the name of one class."""
