"""What kills, full disks, failing servers, damage and hostile changes do to a cache and to every file that is read.

Two tables. Of caches, on this machine (`cache_faults`), on an object store (`object_faults`) and filled by the workers
of a Ray cluster (`ray_faults`):

survived        at the end every row was there, and right
detected        the fault was noticed: by `verify`, by a clear error of the writer, or by the next run, which had
                something left to do (where the kill came too early or too late, there is nothing to notice)
silently wrong  rows that a reader got and that were not the image's: must be 0
rows lost       rows whose commit had returned and that a reader then missed, or that running again did not bring
                back: must be 0

Of files (`fuzz`): bits flipped, ends cut, ranges zeroed, swapped, copied and inserted, numbers and JSON values
replaced by odd ones, most with every checksum and seal renewed. What a trial comes to is told in `fuzz.trial`;
silent, traceback and hang must be 0.

``python bench/faults.py [--quick] [--json FILE] [--seed N] [--only caches,objects,ray,files] [--kinds shard,model]
[--first N] [--times N] [--objects N] [--clusters N] [--faults N]``. Exits 1 if a must-be-0 is not. A large number can
be tried in parts: ``--first`` goes on where another run ended; of caches it draws other faults.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from cache_faults import Outcome, break_caches
from fuzz.kinds import KINDS
from fuzz.trial import OUTCOMES, Faults
from fuzz.workers import try_faults
from machine import arguments, report, write_figures

_QUICK = 120
_WHAT = ("caches", "objects", "ray", "files")
_SLOW = ("steering", "result")  # each builds a network, or fits a stack


def _only(text: str) -> list[str]:
    asked = [name.strip() for name in text.split(",")]
    if set(asked) - set(_WHAT):
        message = f"{text!r} names what is not tried: there are {', '.join(_WHAT)}"
        raise argparse.ArgumentTypeError(message)
    return asked


def _kinds(text: str) -> list[str]:
    """Return the kinds of files that were named: ``shard`` stands for its versions, too."""
    asked = [name.strip() for name in text.split(",")]
    found = [name for name in KINDS if name in asked or name.partition(",")[0] in asked]
    if not found:
        message = f"{text!r} names no kind of file: there are {'; '.join(KINDS)}"
        raise argparse.ArgumentTypeError(message)
    return found


def _numbers(options: argparse.Namespace) -> dict[str, range]:
    """Return which faults to try of each kind; of the slow ones a tenth."""
    kinds = options.kinds or list(KINDS)
    shares = {name: 0.1 if name in _SLOW else 1.0 for name in kinds}
    each = (_QUICK if options.quick else options.faults) / sum(shares.values())
    return {name: range(options.first, options.first + math.ceil(each * share)) for name, share in shares.items()}


def _break_objects(options: argparse.Namespace) -> list[Outcome]:
    """Return what faults of a server do to caches on an object store; nothing where no such server is installed."""
    if find_spec("moto") is None or find_spec("s3fs") is None:
        print("no object store was tried: install moto[server] and s3fs", file=sys.stderr)
        return []
    from object_faults import break_object_stores

    n = 2 if options.quick else options.objects
    return break_object_stores(range(options.first, options.first + n), options.seed)


def _break_rays(options: argparse.Namespace, folder: Path) -> list[Outcome]:
    """Return what faults of processes and machines do to caches that a Ray cluster fills; nothing where it lacks."""
    if find_spec("ray") is None:
        print("no Ray cluster was tried: install ray", file=sys.stderr)
        return []
    from ray_faults import break_rays

    n = 1 if options.quick else options.clusters
    return break_rays(folder, range(options.first, options.first + n), options.seed)


def _report_caches(outcomes: Sequence[Outcome], title: str) -> None:
    header = ["fault", "tried", "survived", "detected", "silently wrong", "rows lost", "note"]
    report(f"Caches, {title}", header, [[str(value) for value in asdict(each).values()] for each in outcomes], [], None)


def _report_files(outcomes: Sequence[Faults], title: str) -> None:
    rows = [
        [each.kind, *(f"{n:,}" for n in (each.tried, *(each.counts[name] for name in OUTCOMES)))] for each in outcomes
    ]
    total = [sum(each.tried for each in outcomes), *(sum(each.counts[name] for each in outcomes) for name in OUTCOMES)]
    rows.append(["all", *(f"{n:,}" for n in total)])
    report(f"Files, {title}", ["file", "tried", *OUTCOMES], rows, [], None)
    for each in outcomes:
        for outcome, number, said in each.examples[:5]:
            print(f"\n{each.kind}, number {number}: {outcome}\n{said}")


def main() -> int:
    """Break caches and files, print what came of it, and return 1 if anything was lost, silent, a traceback, a hang."""
    parser = arguments(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, default=0, help="of the random moments, offsets and sizes")
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="where caches are made")
    parser.add_argument("--no-mount", action="store_true", help="limit file sizes instead of mounting a small tmpfs")
    parser.add_argument("--only", type=_only, default=_WHAT, help=f"of {', '.join(_WHAT)}, comma-separated")
    parser.add_argument("--times", type=float, default=1.0, help="as many faults of caches as the usual 760")
    parser.add_argument("--objects", type=int, default=100, help="faults of each kind tried on an object store")
    parser.add_argument("--clusters", type=int, default=20, help="faults of each kind tried on a Ray cluster")
    parser.add_argument("--kinds", type=_kinds, help="kinds of files, comma-separated")
    parser.add_argument("--faults", type=int, default=10_000, help="tried in files, over all kinds")
    parser.add_argument("--first", type=int, default=0, help="number of the first fault of each kind")
    options = parser.parse_args()
    started = time.monotonic()
    caches: list[Outcome] = []
    files: list[Faults] = []
    with tempfile.TemporaryDirectory(prefix="stackbone-faults-", dir=options.dir) as folder:
        if "caches" in options.only:
            mount = not options.no_mount and shutil.which("mount") is not None and os.geteuid() == 0
            of_part = (options.seed, options.first) if options.first else options.seed
            caches = break_caches(Path(folder), of_part, 0.04 if options.quick else options.times, mount=mount)
        if "objects" in options.only:
            caches += _break_objects(options)
        if "ray" in options.only:
            caches += _break_rays(options, Path(folder))
        if "files" in options.only:
            files = try_faults(_numbers(options), Path(folder), options.seed, os.cpu_count() or 1)
    title = f"seed {options.seed}, {time.monotonic() - started:.0f} s"
    if caches:
        _report_caches(caches, title)
    if files:
        _report_files(files, title)
    if options.json:
        figures = {"caches": [asdict(each) for each in caches], "files": [asdict(each) for each in files]}
        write_figures(f"Faults, {title}", figures, options.json)
    good = all(o.silently_wrong == o.rows_lost == 0 and o.survived == o.tried for o in caches)
    good = good and all(each.is_good for each in files)
    print("\nnothing lost, nothing silent" if good else "\nFAILED: see the columns that must be 0")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
