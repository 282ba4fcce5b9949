"""Some rows of a shard, read alone once all of its rows were proven."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import Malformed
from stackbone.cache.hdf5.opening import opened
from stackbone.cache.hdf5.seal import Seal
from stackbone.cache.places.opened import OpenFile, Stamp
from stackbone.cache.places.place import Place
from stackbone.cache.records.shards.content import ShardHeader

_READ_BYTES = 4 << 20  # at a time while rows are proven
_EXPONENT = np.uint16(0x7C00)  # of a float16: all ones where it is not finite


@dataclass(frozen=True)
class ShardRows:
    """The rows of one shard.

    Attributes
    ----------
    path
        Of the shard.
    header
        What it says of itself.
    seal
        Its body is the rows.
    """

    path: Place
    header: ShardHeader
    seal: Seal

    def read(self, rows: NDArray[np.int64], into: NDArray[np.float16], proven: Stamp | None) -> Stamp | None:
        """Read some rows, and prove all of them before, unless the file is the one that was proven.

        Parameters
        ----------
        rows
            (m,) which of them.
        into
            (m, dim) float16 that they are written to.
        proven
            What was returned before, for this shard; None if nothing was.

        Returns
        -------
        tuple of int or None
            Of the file whose rows are proven now; None if nothing tells whether it stays the same one.

        Raises
        ------
        CorruptFileError
            If its rows are not those that were sealed, or a number of them is not finite.
        FileNotFoundError
            If it is gone.
        CacheError
            If the system could not read it.
        """
        with opened(self.path, in_pieces=True) as file:
            stamp = file.stamp()
            if stamp is None or stamp != proven:
                self._prove(file)
            for row, target in zip(rows, into, strict=True):
                content = file.read_at(self.seal.start + int(row) * self.header.row_bytes, self.header.row_bytes)
                target[:] = np.frombuffer(content, "<f2")
        return stamp

    def _prove(self, file: OpenFile) -> None:
        digest = hashlib.sha256()
        finite = True
        for start in range(0, self.seal.length, _READ_BYTES):
            piece = file.read_at(self.seal.start + start, min(_READ_BYTES, self.seal.length - start))
            digest.update(piece)
            finite = finite and not ((np.frombuffer(piece, "<u2") & _EXPONENT) == _EXPONENT).any()
        if digest.digest() != self.seal.body:
            message = "its features are not what was sealed (SHA-256): they were changed after they were written"
            raise Malformed(message)
        if not finite:
            message = "its features are not finite"
            raise Malformed(message)
