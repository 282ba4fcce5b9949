"""What a page knows of single images, for its script to show, find and list."""
