"""The command line: one command a file, which parses, calls one room, prints, and ends with an exit code.

A module here is a command of its name. Its docstring is the command's help (the first line stands in the list of
commands), and its function `command` does the work.
"""
