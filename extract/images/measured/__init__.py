"""What a look at an image file tells beside what a network sees."""
