"""The content of a member of a zip archive, unpacked no further than its directory says."""

from __future__ import annotations

import bz2
import lzma
import zipfile
import zlib

from stackbone.cache.errors import Malformed
from stackbone.cache.text import counted

UNPACKABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
"""Methods that Python unpacks, as numbered in 4.4.5 of PKWARE's APPNOTE."""

_LZMA_HEAD = 9  # bytes before the stream, 5.8.8 of the APPNOTE: version (2), size of properties (2), properties (5)
_LZMA_VALUES = 9 * 5 * 5  # of the byte that says lc, lp and pb
_LEAST_WINDOW = 4096


def unpacked(packed: bytes, method: int, size: int, crc: int) -> bytes:
    """Return the content of a member.

    Parameters
    ----------
    packed
        Its bytes in the archive.
    method
        One of `UNPACKABLE`.
    size, crc
        Of the content, as the archive's directory says.

    Raises
    ------
    Malformed
        If the content is longer, shorter, or another one. What is longer is not unpacked to its end.
    """
    if method == zipfile.ZIP_STORED:
        content = packed
    elif method == zipfile.ZIP_DEFLATED:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
    elif method == zipfile.ZIP_BZIP2:
        content = bz2.BZ2Decompressor().decompress(packed, size + 1)
    else:
        content = _without_lzma(packed, size + 1)
    if len(content) > size:
        message = f"a member is longer than the {size:,} bytes that its directory says, as in archive bombs"
        raise Malformed(message)
    if len(content) < size:
        message = f"a member ends {counted(size - len(content), 'byte')} early"
        raise Malformed(message)
    if zlib.crc32(content) != crc:
        message = "the CRC-32 of a member is another than its directory says"
        raise Malformed(message)
    return content


def _without_lzma(packed: bytes, most: int) -> bytes:
    if len(packed) < _LZMA_HEAD or packed[4] >= _LZMA_VALUES:
        message = "a member has no header of LZMA"
        raise Malformed(message)
    rest, lc = divmod(packed[4], 9)
    pb, lp = divmod(rest, 5)
    # No more of a window is needed than there is content, though a header can ask for 4 GiB.
    window = max(_LEAST_WINDOW, min(int.from_bytes(packed[5:9], "little"), most))
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": window, "lc": lc, "lp": lp, "pb": pb}]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters).decompress(packed[_LZMA_HEAD:], most)
