"""Where this checkout lies, and the files of earlier versions in it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARCHIVES = ROOT / "tests" / "archives"
CLI = ROOT / "cli.py"
