"""What was met when a dataset was listed, beside its images: what was not taken, and what was believed.

An index keeps it as one attribute of JSON, so it is short: of many sorts of files the most frequent ones, of a long
text its beginning. Read back it is data of a stranger: anything of another form is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from stackbone.cache.errors import Malformed
from stackbone.cache.text import counted

_MOST_SORTS = 40
_SHOWN_SORTS = 6
_MOST_NOTES = 40
_MOST_CHARACTERS = 300  # of a text
_MOST_BYTES = 50_000
_MOST_WORDS = 60
_MOST_WORD_CHARACTERS = 4_000  # of all words together: a shortened word would name something else
_OTHERS = "others"


@dataclass(frozen=True)
class Skipped:
    """Files or folders of one sort that were met and not taken.

    Attributes
    ----------
    sort
        What they have in common: an extension such as ``.heic``, ``no extension``, or a folder's name.
    reason
        Why they were not taken, in words that follow their number: ``not an image``.
    count
        How many there are.
    example
        Path of one, relative to the dataset's root.
    """

    sort: str
    reason: str
    count: int
    example: str


@dataclass(frozen=True)
class Listed:
    """What a dataset's index tells of its listing.

    Attributes
    ----------
    skipped
        What was met and not taken.
    notes
        What was believed where it could be read in another way, a sentence each.
    asked
        What to type after ``stackbone extract`` to list the same again; nothing if that cannot be typed.
    """

    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()
    asked: Sequence[str] = ()

    def noting(self, notes: Sequence[str]) -> Listed:
        """Return the same with further notes."""
        return replace(self, notes=[*self.notes, *notes])

    def lines(self) -> list[str]:
        """Return lines for people."""
        return [f"skipped: {words}" for words in self.skipped_in_words()] + [f"note: {note}" for note in self.notes]

    def skipped_in_words(self) -> list[str]:
        """Return what was met and not taken, the most frequent sorts first."""
        ranked = sorted(self.skipped, key=lambda each: -each.count)
        n_shown = _SHOWN_SORTS if len(ranked) > _SHOWN_SORTS + 1 else len(ranked)
        words = [_in_words(each) for each in ranked[:n_shown]]
        if rest := ranked[n_shown:]:
            n = sum(each.count for each in rest)
            words.append(f"{n:,} more, of {counted(len(rest), 'other sort')}; `extract --dry-run --json` lists all")
        return words

    def to_json(self) -> str:
        """Return canonical JSON that `from_json` reads, shortened as said above."""
        skipped = sorted(self.skipped, key=lambda each: -each.count)
        notes = [_short(note) for note in self.notes[:_MOST_NOTES]]
        n_sorts = min(len(skipped), _MOST_SORTS)
        asked = {"asked": list(self.asked)} if self.asked and _are_words(list(self.asked)) else {}
        while True:
            content = {"notes": notes, "skipped": [_shortened(each) for each in _cut(skipped, n_sorts)], **asked}
            text = json.dumps(content, sort_keys=True, separators=(",", ":"))
            if len(text) <= _MOST_BYTES:
                return text
            n_sorts, notes = n_sorts // 2, notes[: len(notes) // 2]

    @classmethod
    def from_json(cls, content: Any) -> Listed:  # noqa: ANN401 - whatever a file holds
        """Return what an index keeps.

        Raises
        ------
        Malformed
            If it is of another form.
        """
        if not isinstance(content, dict) or set(content) - {"asked"} != {"notes", "skipped"}:
            message = "what it tells of its listing is not a JSON object of notes, skipped and perhaps asked"
            raise Malformed(message)
        notes, skipped, asked = content["notes"], content["skipped"], content.get("asked", [])
        if not _is_list(notes) or not all(type(note) is str for note in notes):
            message = "its notes are not a list of texts"
            raise Malformed(message)
        if not _is_list(skipped) or not all(_is_skipped(each) for each in skipped):
            message = "what it skipped is not a list of sort, reason, count and example"
            raise Malformed(message)
        if not _are_words(asked):
            message = "what it was asked is not a list of a few short words"
            raise Malformed(message)
        return cls([Skipped(**each) for each in skipped], notes, tuple(asked))


def _in_words(each: Skipped) -> str:
    is_folder = f"/{each.example}".endswith(f"/{each.sort}/")
    what = f"{counted(each.count, 'folder')} {each.sort!r}" if is_folder else f"{each.count:,} {each.sort}"
    return f"{what} ({each.reason}), such as {each.example!r}"


def _cut(skipped: Sequence[Skipped], n_sorts: int) -> list[Skipped]:
    rest = skipped[n_sorts:]
    if not rest:
        return list(skipped)
    others = Skipped(_OTHERS, "of various reasons", sum(each.count for each in rest), rest[0].example)
    return [*skipped[:n_sorts], others]


def _shortened(each: Skipped) -> dict[str, Any]:
    return asdict(Skipped(_short(each.sort), _short(each.reason), each.count, _short(each.example)))


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."


def _is_list(value: object) -> bool:
    return isinstance(value, list) and len(value) <= max(_MOST_SORTS, _MOST_NOTES) + 1


def _are_words(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_WORDS
        and all(type(word) is str and "\0" not in word for word in value)
        and sum(map(len, value)) <= _MOST_WORD_CHARACTERS
    )


def _is_skipped(value: object) -> bool:
    types = {"sort": str, "reason": str, "count": int, "example": str}
    return (
        isinstance(value, dict)
        and set(value) == set(types)
        and all(type(value[name]) is kind for name, kind in types.items())
        and 0 < value["count"] < 1 << 63
    )
