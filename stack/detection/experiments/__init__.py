"""How a detection experiment is carried out: heads trained fold by fold, what is kept of them, and their scores."""
