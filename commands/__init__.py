"""The command line: one command a file, which parses, calls one room, prints, and ends with an exit code."""
