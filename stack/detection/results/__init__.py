"""A detection experiment as a file, and run again from one."""
