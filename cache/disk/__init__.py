"""Files on disk: written whole or not at all, read only if they are regular, identified by their content."""
