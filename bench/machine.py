"""What machine a benchmark saw, and how its tables look."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_LIBRARIES = ("numpy", "h5py", "pillow", "torch", "torchvision", "timm", "openvino", "scikit-learn", "mlxtend")


def describe_machine() -> dict[str, str]:
    """Return processor, cores, memory, system and library versions."""
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = version(name)
        except PackageNotFoundError:
            libraries[name] = "absent"
    return {
        "processor": _processor(),
        "matrix units": _matrix_units(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        **libraries,
    }


def arguments(description: str, **defaults: Any) -> argparse.ArgumentParser:  # noqa: ANN401 - argparse's own
    """Return a parser with the options every benchmark has: ``--quick`` and ``--json FILE``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller run, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    parser.set_defaults(**defaults)
    return parser


def add_folder(parser: argparse.ArgumentParser, option: str, part: str, what: str) -> None:
    """Add an option that names a folder of data, and says what to name where there is none.

    By default it is the `part` of ``../shared``, or of the folder that ``STACKBONE_TEST_DATA`` names.
    """

    def folder(text: str) -> Path:
        if not Path(text).is_dir():
            message = f"there is no folder {text}: name {what} with {option}"
            raise argparse.ArgumentTypeError(message)
        return Path(text)

    root = Path(os.environ.get("STACKBONE_TEST_DATA", Path(__file__).resolve().parents[2] / "shared"))
    parser.add_argument(option, type=folder, default=str(root / part), help=what)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median and maximum."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def medians_in_turns(measures: Sequence[Callable[[], float]], rounds: int) -> list[float]:
    """Return the median of each measure, over rounds in which all take their turn: what drifts befalls all alike.

    That of a measure which gives nan in any round is nan.
    """
    found = [[measure() for measure in measures] for _ in range(rounds)]
    each = zip(*found, strict=True)
    return [math.nan if any(map(math.isnan, values)) else statistics.median(values) for values in each]


def report(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], figures: Any, file: Path | None) -> None:  # noqa: ANN401
    """Print a Markdown table under the machine it was measured on, and write the figures as JSON."""
    machine = describe_machine()
    print(f"\n{title}\n{', '.join(f'{key} {value}' for key, value in machine.items())}\n")
    print(f"| {' | '.join(header)} |")
    print(f"|{'|'.join('---' if i == 0 else '---:' for i in range(len(header)))}|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    if file:
        write_figures(title, figures, file)


def write_figures(title: str, figures: Any, file: Path) -> None:  # noqa: ANN401 - any JSON
    """Write figures as JSON, with the machine that they were measured on; a run that is cut leaves FILE as it was."""
    text = json.dumps({"title": title, "machine": describe_machine(), "figures": figures}, indent=2) + "\n"
    aside = file.with_name(f"{file.name}.part")
    aside.write_text(text)
    aside.replace(file)


def _processor() -> str:
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _matrix_units() -> str:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    units = [name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags]
    return units[0] if units else "unknown"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):
        return "unknown"
