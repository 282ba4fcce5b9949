"""Tables that hold images, laid out as Hugging Face's datasets write them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CLASSES = ("cat", "dog", "owl")


def photo(number: int, form: str = "PNG") -> bytes:
    """Return a small picture that differs from those of other numbers."""
    pixels = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def schema(*, image: str = "image", label: str = "label", names: Sequence[str] = CLASSES) -> Any:  # noqa: ANN401
    """Return the schema of a table of images and classes, with what the library writes into its metadata."""
    pyarrow = pytest.importorskip("pyarrow")
    features = {image: {"_type": "Image"}, label: {"names": list(names), "_type": "ClassLabel"}}
    told = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    structure = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    return pyarrow.schema([(image, structure), (label, pyarrow.int64())], metadata=told)


def table(numbers: Sequence[int], **columns: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return a table of the photos of these numbers, of class number modulo three."""
    pyarrow = pytest.importorskip("pyarrow")
    form = schema(**columns)
    image, label = form.names
    rows = [{image: {"bytes": photo(n), "path": f"{n}.png"}, label: n % 3} for n in numbers]
    return pyarrow.Table.from_pylist(rows, schema=form)


def write_parquet(file: Path, content: Any, **options: Any) -> Path:  # noqa: ANN401 - pyarrow has no types
    """Write a table, or a dict of columns, to a Parquet file."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file.parent.mkdir(parents=True, exist_ok=True)
    content = pyarrow.table(content) if isinstance(content, dict) else content
    parquet.write_table(content, file, **{"row_group_size": 4} | options)
    return file


def write_arrow(file: Path, content: Any, *, stream: bool = True) -> Path:  # noqa: ANN401 - pyarrow has no types
    """Write a table to an Arrow stream, as the library keeps them, or to an Arrow file with a footer."""
    from pyarrow import OSFile, ipc

    file.parent.mkdir(parents=True, exist_ok=True)
    new = ipc.new_stream if stream else ipc.new_file
    with OSFile(str(file), "wb") as sink, new(sink, content.schema) as writer:
        writer.write_table(content, max_chunksize=4)
    return file


def save_to_disk(folder: Path, content: Any, n_files: int = 1) -> Path:  # noqa: ANN401 - pyarrow has no types
    """Write a table as `Dataset.save_to_disk` does."""
    per_file = -(-len(content) // n_files)
    names = [f"data-{at:05}-of-{n_files:05}.arrow" for at in range(n_files)]
    for at, name in enumerate(names):
        write_arrow(folder / name, content.slice(at * per_file, per_file))
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "5f", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))
    return folder
