"""The source's images count by how well they stand for the target's."""
