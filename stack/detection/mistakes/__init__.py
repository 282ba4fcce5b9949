"""What went wrong: invented and missed objects, confused classes."""
