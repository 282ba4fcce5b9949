"""Finding single images: labels that look wrong, and a gallery of all."""
