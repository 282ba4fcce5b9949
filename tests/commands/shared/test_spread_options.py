"""Options that exclude or need each other: found, expected, which, and what to leave out or add."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackbone.cache import UsageError
from stackbone.commands.shared.embedding.options import SpreadOptions
from tests.conftest import InProcess


def _said(options: SpreadOptions, *, dry_run: bool = False) -> str:
    with pytest.raises(UsageError) as caught:
        options.check(dry_run=dry_run)
    return str(caught.value)


def test_options_that_exclude_each_other_are_named_with_what_to_leave_out() -> None:
    assert _said(SpreadOptions(part="1/2", index_only=True)) == (
        "found --part and --index-only together; expected at most one of --part, --index-only, --dry-run, as each says "
        "what the run is to do: leave out --part or --index-only"
    )
    assert _said(SpreadOptions(part="1/2"), dry_run=True).endswith("leave out --part or --dry-run")


def test_options_of_workers_need_a_cluster() -> None:
    assert _said(SpreadOptions(gpus_per_worker=0.5)) == (
        "found --gpus-per-worker 0.5 without --ray; expected it of the workers of a cluster alone: add --ray auto, or "
        "leave --gpus-per-worker out"
    )
    assert "found --cpus-per-worker 2 without --ray" in _said(SpreadOptions(cpus_per_worker=2))
    assert "found --worker-timeout 30 without --ray" in _said(SpreadOptions(worker_timeout=30.0))


def test_a_worker_has_ten_minutes_unless_told_otherwise() -> None:
    usual, told = SpreadOptions(ray="auto").cluster, SpreadOptions(ray="auto", worker_timeout=30.0).cluster
    assert usual is not None
    assert told is not None
    assert (usual.worker_timeout, told.worker_timeout) == (600.0, 30.0)


@pytest.mark.parametrize("number", ["nan", "inf"])
@pytest.mark.parametrize(
    "words",
    [
        ("extract", "photos", "--ray", "auto", "--worker-timeout"),
        ("extract", "photos", "--ray", "auto", "--gpus-per-worker"),
        ("extract", "photos", "--max-failed"),
        ("evaluate", "photos", "--model", "m.stackbone", "--max-failed"),
        ("predict", "photos", "--model", "m.stackbone", "--max-failed"),
        ("plan", "photos", "--seconds"),
    ],
    ids=" ".join,
)
def test_a_number_that_no_time_or_share_reaches_is_refused(
    tmp_path: Path, in_process: InProcess, words: tuple[str, ...], number: str
) -> None:
    done = in_process(*words, number, cwd=tmp_path)
    assert done.returncode == 2
    refused = f"Error: Invalid value for '{words[-1]}': "
    assert refused in done.stderr
    if number == "inf" and words[-1] != "--max-failed":  # no bound refuses it
        assert f"{refused}inf is no number that can be reached: give a finite one" in done.stderr


def test_options_that_go_together_are_taken() -> None:
    SpreadOptions(part="1/2").check(dry_run=False)
    SpreadOptions(index_only=True).check(dry_run=False)
    SpreadOptions().check(dry_run=True)
