"""How classes, or images, lie to each other is what is carried over."""
