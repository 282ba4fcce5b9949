"""What the schema of an Arrow or Parquet table says of its columns: which hold images, and the names of classes.

Hugging Face's datasets write of which type each column is into the schema's metadata, under ``huggingface``: JSON of
the form ``{"info": {"features": {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": [...]}}}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackbone.cache.text import from_json

_KEY = b"huggingface"
_NOT_IMAGES = frozenset({"Audio", "Video", "Pdf", "Nifti", "Mesh"})  # which are {bytes, path}, too


def with_names(schema: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return a schema whose columns have names that are text; pyarrow raises where a file's are not."""
    str(schema.names)
    return schema


def image_columns(schema: Any) -> list[str]:  # noqa: ANN401 - pyarrow has no types
    """Return the columns that may hold encoded images, in their order, as far as the schema tells.

    Those that are declared to; else those of structures with ``bytes``; else all of bytes.

    Parameters
    ----------
    schema
        A `pyarrow.Schema`.
    """
    declared = declared_features(schema)
    usable = [field.name for field in schema if schema.names.count(field.name) == 1 and holds_bytes(field.type)]
    images = [name for name in usable if declared.get(name, {}).get("_type") == "Image"]
    if images:
        return images
    usable = [name for name in usable if declared.get(name, {}).get("_type") not in _NOT_IMAGES]
    structures = [name for name in usable if _is_structure(schema.field(name).type)]
    return structures or usable


def holds_bytes(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    """Return whether a column of this type can hold encoded images: bytes, or a structure whose ``bytes`` are such."""
    from pyarrow import types

    if _is_structure(kind):
        kind = kind.field("bytes").type
    if types.is_dictionary(kind):
        kind = kind.value_type
    is_bytes = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
    return any(is_kind(kind) for is_kind in is_bytes)


def _is_structure(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    from pyarrow import types

    return bool(types.is_struct(kind)) and kind.get_field_index("bytes") >= 0


def declared_features(schema: Any) -> dict[str, Mapping[str, Any]]:  # noqa: ANN401 - pyarrow has no types
    """Return what Hugging Face's datasets say of each column; nothing where it is no JSON of their form."""
    try:
        features = from_json((schema.metadata or {}).get(_KEY, b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def class_names(schema: Any) -> dict[str, list[str]]:  # noqa: ANN401 - pyarrow has no types
    """Return the names of the classes that columns of numbers stand for, by column; of lists of such numbers, too."""
    try:
        features = from_json((schema.metadata or {}).get(_KEY, b"{}"))["info"]["features"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: names for name, feature in features if (names := _names_of(feature)) is not None}


def _names_of(feature: Any) -> list[str] | None:  # noqa: ANN401 - any JSON
    if isinstance(feature, list) and len(feature) == 1:  # how lists were declared once
        feature = feature[0]
    elif isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        feature = feature.get("feature")
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    is_sound = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_sound else None
