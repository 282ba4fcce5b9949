"""Where data lies (digests, shards, indexes) and where work is spread. Knows nothing of networks or classifiers."""

from typing import TYPE_CHECKING

from stackbone.cache.lazy import lazy_names

if TYPE_CHECKING:
    from stackbone.cache.disk.digest import (
        Digests,
        FileDigests,
        FileStamps,
        as_keys,
        list_digests,
        sha256_file,
        usable_cores,
    )
    from stackbone.cache.errors import (
        CacheError,
        CorruptFileError,
        DatasetError,
        ImageError,
        ModelError,
        NewerVersionError,
        StackboneError,
        StackError,
        UsageError,
        WeightsError,
    )
    from stackbone.cache.feature_set import FeatureSet
    from stackbone.cache.records.indexes.index import FAILED, OK, DatasetIndex, empty_index
    from stackbone.cache.records.seen import SeenRecord, read_seen, write_seen
    from stackbone.cache.records.spec import FeatureSpec, feature_set_id
    from stackbone.cache.store import FeatureStore, default_cache
else:
    __getattr__ = lazy_names(__name__, __file__)

__all__ = [
    "FAILED",
    "OK",
    "CacheError",
    "CorruptFileError",
    "DatasetError",
    "DatasetIndex",
    "Digests",
    "FeatureSet",
    "FeatureSpec",
    "FeatureStore",
    "FileDigests",
    "FileStamps",
    "ImageError",
    "ModelError",
    "NewerVersionError",
    "SeenRecord",
    "StackError",
    "StackboneError",
    "UsageError",
    "WeightsError",
    "as_keys",
    "default_cache",
    "empty_index",
    "feature_set_id",
    "list_digests",
    "read_seen",
    "sha256_file",
    "usable_cores",
    "write_seen",
]
