"""What parts of a run found out about images, each in a file of its own, so that parts side by side lose nothing."""
