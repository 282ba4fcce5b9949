"""Images that lie inside files: archives, tables, videos. Each kind is one file of `kinds`."""
