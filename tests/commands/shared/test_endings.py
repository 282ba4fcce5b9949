"""However a command ends, it ends with a sentence and the right exit code."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackbone import cli
from stackbone.cache import CacheError, FeatureStore, StackError, UsageError
from stackbone.commands.shared.endings import Outputs, check_outputs, explain
from tests.conftest import InProcess
from tests.made.checkout import ROOT
from tests.made.commands import run_command, start_command

HOSTILE = ["\x1b[31mcat", "[bold]dog", "=emu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, make_cache: Callable[..., FeatureStore]) -> Path:
    """Return a folder with a cache whose class names are hostile."""
    folder = tmp_path_factory.mktemp("place")
    make_cache(folder / "features", HOSTILE * 8)
    return folder


def shell(line: str, place: Path, **options: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401 - of the shell
    """Run a line of shell in which `stackbone` is this checkout's."""
    script = f'stackbone() {{ "{sys.executable}" "{ROOT / "cli.py"}" "$@"; }}; {line}'
    options = {"capture_output": True, "text": True, "timeout": 120, "check": False} | options
    done = subprocess.run(["bash", "-c", script], cwd=place, **options)
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    return done


FAST = ("stack", "--cv", "2", "--c", "0.1", "--inner-cv", "2", "--recipe", "oof")


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("stackbone inspect >&-", 1, "standard output: Bad file descriptor"),
        ("stackbone inspect >/dev/full", 1, "standard output: No space left"),
        ("stackbone inspect --json >/dev/full", 1, "standard output: No space left"),
        ("stackbone inspect >&- 2>&-", 1, ""),
        ("stackbone inspect 2>/dev/full >/dev/null", 0, ""),
        ("stackbone inspect <&- >/dev/null", 0, ""),
        ("stackbone inspect | head -1; exit ${PIPESTATUS[0]}", 0, ""),
        ("stackbone verify | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("mkdir gone; cd gone; rmdir ../gone; stackbone stack", 1, "no dataset in the cache"),
        ("stackbone nonsense", 2, "No such command"),
        ("stackbone inspect $'--a\\x1b[2J'", 2, r"\x1b[2J"),
        ("stackbone forget photos <&-", 1, "nothing was done"),
    ],
)
def test_outputs_that_are_closed_or_full_end_a_command_in_words(place: Path, line: str, code: int, words: str) -> None:
    done = shell(line, place)
    assert done.returncode == code, done.stderr
    assert words in done.stderr


@pytest.mark.parametrize(
    "command", ["inspect", "inspect --json", "verify", "compact", "forget photos --yes", "stack", "report r.json"]
)
@pytest.mark.parametrize(
    ("cache", "words"),
    [
        ("/dev/null", "the cache /dev/null is not a folder"),
        ("file", "the cache file is not a folder"),
        ("pipe", "the cache pipe is not a folder"),
        ("to-nowhere", "the cache to-nowhere is not a folder"),
        ("nowhere", "nowhere"),
    ],
)
def test_what_is_no_cache_is_said(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    cache: str,
    words: str,
) -> None:
    monkeypatch.chdir(place)
    Path("file").touch()
    if not Path("pipe").exists():
        os.mkfifo("pipe")
        Path("to-nowhere").symlink_to("nowhere")
        Path("r.json").write_text('{"format": "stackbone-result"}')
    monkeypatch.setattr(sys, "argv", ["stackbone", *command.split(), "--cache", cache])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code in (1, 2)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert words in printed.err or command.startswith("report")
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("cache", ["/dev/null", "file", "pipe"])
def test_nothing_is_extracted_into_what_is_no_folder(place: Path, in_process: InProcess, cache: str) -> None:
    (place / "file").touch()
    if not (place / "pipe").exists():
        os.mkfifo(place / "pipe")
    done = in_process("demo", "--folder", cache, cwd=place)
    assert done.returncode == (2 if cache == "/dev/null" else 1)  # no file belongs there, whoever asks
    assert cache in done.stderr
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize("columns", ["0", "1", "-5", "abc", "²", "99999999999"])
def test_any_columns_print_the_same_in_a_pipe(place: Path, columns: str) -> None:
    done = run_command("inspect", cwd=place, environment={"COLUMNS": columns, "LINES": columns})
    assert done.returncode == 0
    assert "dataset photos, of /photos\n  24 images\n  3 classes: " in done.stdout


@pytest.mark.parametrize(
    "arguments", ["--c 1e308", "--repeats 1000000000", "--save x --result x", "--save /dev/null", "--result ."]
)
def test_what_cannot_be_done_is_refused_before_the_work(place: Path, in_process: InProcess, arguments: str) -> None:
    done = in_process("stack", *arguments.split(), cwd=place)
    assert done.returncode == 2
    assert done.stdout == ""


def test_more_jobs_than_threads_are_no_fault(place: Path, in_process: InProcess) -> None:
    done = in_process(*FAST, "--seed", "3", "--jobs", "100000", cwd=place)
    assert done.returncode == 0, done.stderr


def test_text_of_files_reaches_the_terminal_escaped(place: Path) -> None:
    stacked, inspected = (run_command(*command, cwd=place) for command in (FAST, ["inspect"]))
    assert (stacked.returncode, inspected.returncode) == (0, 0), stacked.stderr + inspected.stderr
    assert r"\x1b[31mcat" in stacked.stdout + inspected.stdout
    assert "[bold]dog" in stacked.stdout + inspected.stdout
    assert "\x1b" not in stacked.stdout + stacked.stderr + inspected.stdout + inspected.stderr


def test_the_table_is_printed_where_a_file_cannot_be_written_and_the_others_are(
    place: Path, in_process: InProcess
) -> None:
    (place / "file").touch()
    files = "--save file/m --predictions p.csv --result r.json"
    done = in_process(*FAST, *files.split(), cwd=place)
    assert done.returncode == 1
    assert "stack:oof" in done.stdout
    assert "could not create the folder" in done.stderr or "could not write" in done.stderr
    assert "Traceback" not in done.stderr
    assert all((place / name).stat().st_size for name in ("p.csv", "r.json"))


def test_files_are_written_where_the_table_cannot_be_printed(place: Path) -> None:
    done = run_command(*FAST, "--result", "kept.json", cwd=place, stdout="/dev/full")
    assert done.returncode == 1
    assert "standard output: No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert (place / "kept.json").stat().st_size


# With less, libraries that scikit-learn imports (pandas, and pyarrow through it) abort the process while they load.
@pytest.mark.parametrize("megabytes", [600, 700, 800])
def test_too_little_memory_is_said(place: Path, megabytes: int) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    done = shell(f"stackbone {' '.join(FAST)} --seed {megabytes}", place, preexec_fn=limit)
    assert done.returncode in (0, 1)
    assert done.returncode == 0 or "not enough memory" in done.stderr, done.stderr


def test_an_error_that_came_of_a_lack_of_memory_is_told_as_one() -> None:
    """As of `multiprocessing.pool`, which fails again as it ends the threads that it could not start."""
    stumbled = AttributeError("'DummyProcess' object has no attribute 'terminate'")
    stumbled.__context__ = RuntimeError("can't start new thread")
    assert explain(stumbled).startswith("there is not enough memory")
    assert explain(AttributeError("no attribute")).startswith("unexpected AttributeError")


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_signals_after_the_first_do_not_cut_short_what_is_kept(tmp_path: Path, first: signal.Signals) -> None:
    script = (
        "import os, signal, time\n"
        "from stackbone.commands.shared import endings\n"
        "def work():\n"
        "    try:\n"
        f"        os.kill(os.getpid(), {int(first)}); time.sleep(60)\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGHUP); os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.05)\n"
        "        open('kept', 'w').close()\n"
        "endings.run(work, debug=False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=heed_signals,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert (tmp_path / "kept").exists()


def heed_signals() -> None:
    """Undo what a shell or nohup that started the tests may have told their children to ignore."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_130(place: Path, tmp_path: Path, number: signal.Signals) -> None:
    errors = tmp_path / "errors"
    running = start_command(*FAST, "--repeats", "100", "--seed", "7", cwd=place, streams=(os.devnull, str(errors)))
    before = len(list((place / "features" / "scores").glob("*")))
    deadline = time.monotonic() + 120
    while len(list((place / "features" / "scores").glob("*"))) <= before and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(number)
    code, said = running.wait(60), errors.read_text()
    assert code == 130, said
    assert "interrupted: scores that were computed are kept" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "not enough memory"),
        (RuntimeError("can't start new thread"), "not enough memory"),
        (ImportError("libtorch.so: failed to map segment from shared object"), "not enough memory"),
        (OSError(12, "Cannot allocate memory"), "not enough memory"),
        (PermissionError(13, "Permission denied", "m"), r"Permission denied \(m\)"),
        (ImportError("No module named 'scipy'"), "Install Stackbone again"),
        (ValueError("oops"), "unexpected ValueError: oops.*--debug"),
        (CacheError("as it is"), "^as it is$"),
    ],
)
def test_every_error_has_a_sentence(exc: Exception, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(explain(exc))


def test_a_folder_that_is_gone_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "folder that this command was started in is gone" in explain(FileNotFoundError(2, "No such file"))


def test_every_file_has_its_turn_and_the_first_error_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def write_all() -> None:
        with Outputs() as outputs:
            for name, error in {"a": None, "b": CacheError("b is full"), "c": StackError("c too"), "d": None}.items():
                with outputs.file(f"{name} is written"):
                    if error:
                        raise error
                    done.append(name)

    with pytest.raises(CacheError, match="b is full"):
        write_all()
    assert done == ["a", "d"]
    assert capsys.readouterr().err.splitlines() == ["a is written", "d is written", "error: c too"]


def test_two_options_may_not_name_one_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    check_outputs({"--save": tmp_path / "file", "--result": None, "--report": tmp_path / "other"})
    with pytest.raises(UsageError, match="--save and --report name the same file"):
        check_outputs({"--save": tmp_path / "file", "--result": None, "--report": tmp_path / "link"})
