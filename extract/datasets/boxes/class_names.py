"""Names of classes as files of annotations give them: what no cache can keep is refused where it was read."""

from __future__ import annotations


def name_problem(name: object) -> str:
    """Return what is wrong with a name of a class that cannot be kept, after "it holds"; else ``""``."""
    if type(name) is not str or not name.strip():
        return "no name" if name is None or name == "" else f"the name {shown(name)}"
    if "\0" in name:
        return f"the name {shown(name)}, which holds a zero byte"
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # half of a pair of UTF-16
        return f"the name {shown(name)}, which holds half of a character"
    return ""


def shown(value: object) -> str:
    """Return a value of a file as a message shows it: in one line, printable, and not long."""
    text = ascii(value[:60] if isinstance(value, str) else value) if not isinstance(value, list | dict) else ""
    return text[:80] or f"a JSON {type(value).__name__}"
