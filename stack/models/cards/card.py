"""A model's card: a page of Markdown beside its file, for whoever is given the model and asks what it is worth.

It is written anew each time the model is saved, but for what somebody wrote below its last line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stackbone.cache import UsageError
from stackbone.cache.disk.output_file import write_output
from stackbone.cache.disk.reading import read_regular
from stackbone.cache.text import counted, typed
from stackbone.stack.models.cards.markdown import bullets, code, code_cell, escaped, table
from stackbone.stack.models.model import StackModel
from stackbone.stack.tasks.registry import get_task

_BEGINNING = "<!-- A model card by Stackbone, written anew whenever the model is saved."
_MARK = f"{_BEGINNING} What stands below the last comment is kept. -->"
_KEPT = "<!-- Below this line write what you know of the model: it is kept. -->"
_MOST_BYTES = 16 << 20
_NAMED = 50  # classes


@dataclass(frozen=True)
class CardFacts:
    """What a card tells beyond what the model itself knows; each a part of a page of Markdown.

    Attributes
    ----------
    data, scores, making : str
        What it was fitted on, what it scored, and how to make it again; empty where that is not known.
    limits : sequence of str
        What it cannot do, of what was measured.
    licences : mapping of str to str
        Under which the weights of each architecture were released, where it is known.
    """

    data: str = ""
    scores: str = ""
    making: str = ""
    limits: Sequence[str] = ()
    licences: Mapping[str, str] = field(default_factory=dict)


def card_file(model_file: Path) -> Path:
    """Return where the card of a model lies: ``MODEL.stackbone.md`` beside ``MODEL.stackbone``."""
    return model_file.parent / f"{model_file.name}.md"


def write_card(model: StackModel, file: Path, sha256: str, notes: str = "", facts: CardFacts | None = None) -> None:
    """Write the card of a model that was saved, whole or not at all.

    Parameters
    ----------
    model : StackModel
        The model.
    file : Path
        Where it was saved.
    sha256 : str
        Of that file's bytes, in hex: by it the card and the model are known to belong together.
    notes : str
        What `kept_notes` returned.
    facts : CardFacts, optional
        What else is known.

    Raises
    ------
    CacheError
        If the card cannot be written.
    """
    text = f"{model_card(model, file.name, sha256, facts)}\n{_KEPT}\n{notes}"
    write_output(card_file(file), text.encode(errors="surrogateescape"))


def model_card(model: StackModel, name: str, sha256: str, facts: CardFacts | None = None) -> str:
    """Return the card of a model.

    Parameters
    ----------
    model : StackModel
        The model.
    name : str
        Of its file.
    sha256 : str
        Of that file's bytes, in hex.
    facts : CardFacts, optional
        What else is known.
    """
    told = facts or CardFacts()
    return "\n\n".join(
        [
            _MARK,
            f"# {escaped(name)}",
            f"{escaped(_sentence(model.describe()))}",
            table(["", ""], _facts(model, name, sha256)),
            "## Data",
            told.data or _unknown_data(model),
            "## Scores",
            told.scores or _promised(model),
            "## Backbones",
            _backbones(model, told.licences),
            "## What it cannot do",
            bullets([*_limits(model), *told.limits, *_domain(name)]),
            "## How it was made",
            told.making or "The command that made it is not known here.",
            _versions(model),
            "## Notes\n",
        ]
    )


def kept_notes(model_file: Path) -> str:
    """Return what somebody wrote into the card that is there, before a model is saved anew; empty where there is none.

    Raises
    ------
    UsageError
        If what is there is no card, or cannot be read.
    """
    place = card_file(model_file)
    try:
        text = read_regular(place, _MOST_BYTES).decode(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):  # of the latter the model's own file tells
        return ""
    except OSError as exc:
        message = (
            f"a model's card is written beside it, and {place} cannot be read: {exc.strerror or exc}. Move what is "
            "there away, or save the model under another name"
        )
        raise UsageError(message) from exc
    if not text.lstrip("\ufeff").startswith(_BEGINNING) or _KEPT not in text:
        message = (
            f"a model's card is written beside it, and {place} is another text, or has lost a comment of the card: "
            "rename it, or save the model under another name"
        )
        raise UsageError(message)
    return text.partition(_KEPT)[2].lstrip("\r\n")


def _facts(model: StackModel, name: str, sha256: str) -> list[list[str]]:
    classes = f", {counted(len(model.classes), *get_task(model.task).classes_are)}" if model.classes else ""
    return [
        ["task", f"{escaped(model.task)}{classes}"],
        ["made", f"{escaped(model.created)}, by Stackbone {escaped(model.versions.get('stackbone', 'unknown'))}"],
        ["file", f"{code_cell(name)}, SHA-256 {code_cell(sha256)}"],
        ["use", code_cell(typed("stackbone", "predict", "PHOTOS", "--model", name))],
    ]


def _unknown_data(model: StackModel) -> str:
    lines = [
        f"{counted(model.n_images, 'image')}; what they were and where they are from is not known here: the card was "
        "written without the experiment"
    ]
    if model.classes:
        more = f" and {len(model.classes) - _NAMED:,} more" if len(model.classes) > _NAMED else ""
        one, several = get_task(model.task).classes_are
        names = ", ".join(escaped(name) for name in model.classes[:_NAMED])
        lines.append(f"{counted(len(model.classes), one, several)}: {names}{more}")
    return bullets(lines)


def _promised(model: StackModel) -> str:
    if not model.score:
        return "It was never scored on images that it had not seen."
    shown = [f"{escaped(name)}: {escaped(str(value))}" for name, value in model.score.items()]
    return f"On images that it had not seen, when it was saved:\n\n{bullets(shown)}"


def _backbones(model: StackModel, licences: Mapping[str, str]) -> str:
    rows = []
    for each in model.backbones:
        for identity, spec in each.specs.items():
            height, width = spec.input_size
            licence = licences.get(spec.architecture, "")
            steered = f", steered by {code_cell(spec.steering[:12])}" if spec.steering else ""
            rows.append(
                [
                    code_cell(identity),
                    f"{code_cell(spec.architecture)}{steered}",
                    code_cell(spec.weights),
                    f"{height} x {width}, {escaped(spec.precision)}",
                    escaped(licence) or "not known",
                ]
            )
    note = (
        "The licence is that of the released weights; those that were used are identified by their SHA-256. "
        "`stackbone backbones` lists licences. Licences of the photographs are not known here."
    )
    header = ["feature set", "architecture", "weights", "input", "licence"]
    return f"{table(header, rows)}\n\n{note}"


def _limits(model: StackModel) -> list[str]:
    """Return what holds of every model of its kind."""
    lines = []
    if model.thresholds is not None:
        lines.append(f"It knows {counted(len(model.classes), 'label')} and says nothing of anything else in an image.")
    elif model.classes:
        lines.append(
            f"It assigns every image to one of its {counted(len(model.classes), 'class', 'classes')}, even a picture "
            "of something else: its probabilities compare these classes only."
        )
    else:
        lines.append("It gives a number for every image, even a picture of something else.")
    if any(spec.steering for spec in model.specs.values()):
        lines.append("A backbone was steered by labels: its scores hold for images that the steering never saw.")
    if model.seen is not None:
        lines.append(
            "Its file holds the first 8 bytes of the SHA-256 of each training image: anyone who has an image can "
            "tell whether it was used for training."
        )
    else:
        lines.append("Which images it was fitted on is not recorded in its file.")
    return lines


def _domain(name: str) -> list[str]:
    test = code(typed("stackbone", "evaluate", "PHOTOS", "--model", name))
    return [
        "Its scores are of images that came together with its training images. Scores may be lower on images from "
        f"another camera, place or time: {test} measures that on labelled ones.",
        "Whether it does equally well for all people, places or devices was not measured, unless this card says so.",
    ]


def _versions(model: StackModel) -> str:
    listed = ", ".join(f"{escaped(name)} {escaped(version)}" for name, version in model.versions.items())
    return f"Made with {listed or 'libraries of unknown versions'}."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
