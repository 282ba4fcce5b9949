"""The structure of an HDF5 file, as far as Stackbone writes it, read from its bytes by a few bounded steps.

HDF5's own library follows whatever a file says of itself; a file made to harm can hang or end the process inside it.
So no file is opened with it: what is not laid out as `cache.hdf5.writing` lays it out is refused here.

Source: HDF5 File Format Specification, version 3.0, sections II.A (superblock), III.A.2 (version 2 B-trees), III.G
(fractal heaps), IV.A (object headers and their messages).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from stackbone.cache.errors import Malformed
from stackbone.cache.hdf5.source import Cursor, Source

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = (1 << 64) - 1  # the address of what is not stored
_SUPERBLOCK_BYTES = 48
_SUPERBLOCK = 3
_MAX_HEADER_BYTES = 1 << 20  # of one object header: 8 attributes of 60,000 bytes, and what HDF5 leaves free
_LINK_RECORD = 11  # bytes: a hash, and the ID of a link in the heap
_BY_NAME = 5  # the type of a B-tree that lists links by name
_HARD_LINK = 0


class Message(IntEnum):
    """What an object header tells of its object."""

    NOTHING = 0x00
    DATASPACE = 0x01
    LINK_INFO = 0x02
    DATATYPE = 0x03
    FILL_VALUE = 0x05
    LINK = 0x06
    LAYOUT = 0x08
    GROUP_INFO = 0x0A
    FILTERS = 0x0B
    ATTRIBUTE = 0x0C
    CONTINUATION = 0x10
    MODIFIED = 0x12
    ATTRIBUTE_INFO = 0x15


@dataclass(frozen=True)
class Attribute:
    """An attribute's type and shape, as stored, and its bytes."""

    datatype: bytes
    dataspace: bytes
    content: bytes


@dataclass(frozen=True)
class Root:
    """What lies at the top of a file: attributes by name, and addresses of datasets; None for a link to elsewhere."""

    attributes: dict[str, Attribute]
    links: dict[str, int | None]


def read_root(source: Source) -> Root:
    """Return a file's attributes and links.

    Raises
    ------
    Malformed
        If the structure is not one that Stackbone writes.
    """
    block = source.read(0, min(_SUPERBLOCK_BYTES, source.size))
    if block[:8] != SIGNATURE:
        message = "it is not an HDF5 file"
        raise Malformed(message)
    superblock = Cursor(block[8:])
    version = superblock.number(1)
    if version != _SUPERBLOCK:
        message = f"its superblock has version {version}, not {_SUPERBLOCK}, so its metadata has no checksums"
        raise Malformed(message)
    superblock.expect(bytes([8, 8, 0]), "what its superblock says of sizes and of being open")
    base, extension, end, root = (superblock.number() for _ in range(4))
    source.check("superblock", block[:44], superblock.take(4))
    if (base, extension, end) != (source.base, UNDEFINED, source.base + source.size):
        message = f"its superblock claims {end:,} bytes from {base:,} on, the file has {source.base + source.size:,}"
        raise Malformed(message)
    attributes: dict[str, Attribute] = {}
    links: dict[str, int | None] = {}
    for kind, content in read_messages(source, root):
        if kind == Message.ATTRIBUTE:
            _add(attributes, *_attribute(Cursor(content)))
        elif kind == Message.LINK:
            _add(links, *_link(Cursor(content)))
        elif kind == Message.LINK_INFO:
            for each in _dense_links(source, Cursor(content)):
                _add(links, *_link(Cursor(each)))
        elif kind == Message.ATTRIBUTE_INFO:
            _refuse_dense_attributes(Cursor(content))
        elif kind not in (Message.NOTHING, Message.GROUP_INFO, Message.MODIFIED):
            message = f"its root has a message {kind.name}, which no group has"
            raise Malformed(message)
    return Root(attributes, links)


def read_messages(source: Source, address: int) -> Iterator[tuple[Message, memoryview]]:
    """Yield the messages of an object header (version 2), those in its continuation blocks included."""
    flags = Cursor(source.read(address, 6)[5:]).number(1)
    prefix = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = _bounded(Cursor(source.read(address + prefix, width)).number(width))
    header = Cursor(source.read_block("object header", b"OHDR", address, prefix + width + size + 4))
    header.expect(b"\x02", "the version of an object header")
    header.take(prefix + width - 5)
    blocks = [header]
    n_bytes, head = header.left, 6 if flags & 0x04 else 4
    for block in blocks:  # which grows meanwhile
        while block.left >= head:
            number, length, message_flags = block.number(1), block.number(2), block.number(1)
            block.take(head - 4)
            content = block.take(length)
            kind = _known(number, message_flags)
            if kind == Message.CONTINUATION:
                cursor = Cursor(content)
                start, length = cursor.number(), max(8, cursor.number())
                n_bytes = _bounded(n_bytes + length)
                blocks.append(Cursor(source.read_block("continued header", b"OCHK", start, length)))
            else:
                yield kind, content


def _bounded(n_bytes: int) -> int:
    if n_bytes > _MAX_HEADER_BYTES:
        message = f"an object header takes over {_MAX_HEADER_BYTES:,} bytes"
        raise Malformed(message)
    return n_bytes


def _known(number: int, flags: int) -> Message:
    if number not in set(Message) or flags & 0x02:  # a shared message lies elsewhere
        message = f"an object header has a message of type {number} (flags {flags}), which Stackbone does not write"
        raise Malformed(message)
    return Message(number)


def _add(found: dict[str, object] | dict[str, Attribute] | dict[str, int | None], name: str, value: object) -> None:
    if name in found:
        message = f"it has {name!r} twice"
        raise Malformed(message)
    found[name] = value  # type: ignore[assignment]


def _attribute(cursor: Cursor) -> tuple[str, Attribute]:
    cursor.expect(b"\x03\x00", "the version of an attribute")
    name_size, type_size, space_size = (cursor.number(2) for _ in range(3))
    cursor.take(1)
    name = bytes(cursor.take(name_size)).rstrip(b"\0").decode("utf-8", "surrogateescape")
    datatype, dataspace = bytes(cursor.take(type_size)), bytes(cursor.take(space_size))
    return name, Attribute(datatype, dataspace, bytes(cursor.take(cursor.left)))


def _link(cursor: Cursor) -> tuple[str, int | None]:
    cursor.expect(b"\x01", "the version of a link")
    flags = cursor.number(1)
    kind = cursor.number(1) if flags & 0x08 else _HARD_LINK
    cursor.take((8 if flags & 0x04 else 0) + (1 if flags & 0x10 else 0))
    name = bytes(cursor.take(cursor.number(1 << (flags & 3)))).decode("utf-8", "surrogateescape")
    return name, cursor.number() if kind == _HARD_LINK else None


def _refuse_dense_attributes(cursor: Cursor) -> None:
    cursor.expect(b"\0", "the version of what it says of attributes")
    flags = cursor.number(1)
    cursor.take(2 if flags & 1 else 0)
    if cursor.number() != UNDEFINED:
        message = "its attributes are more, or longer, than those that Stackbone writes"
        raise Malformed(message)


def _dense_links(source: Source, cursor: Cursor) -> list[memoryview]:
    """Return the links of a group of more than eight: in a heap of one block, listed by a B-tree of one leaf."""
    cursor.expect(b"\0", "the version of what it says of links")
    flags = cursor.number(1)
    cursor.take(8 if flags & 1 else 0)
    heap_address, tree_address = cursor.number(), cursor.number()
    if heap_address == UNDEFINED:
        return []
    heap = _heap_block(source, heap_address)
    tree = Cursor(source.read_block("B-tree", b"BTHD", tree_address, 38))
    tree.expect(bytes([0, _BY_NAME]), "the type of a B-tree")
    node_size = tree.number(4)
    tree.expect(_LINK_RECORD.to_bytes(2, "little") + b"\0\0", "the record size and the depth of a B-tree")
    tree.take(2)
    leaf_address, n_records = tree.number(), tree.number(2)
    length = 6 + n_records * _LINK_RECORD + 4
    if length > node_size:
        message = f"a B-tree lists {n_records:,} links in {node_size:,} bytes"
        raise Malformed(message)
    leaf = Cursor(source.read_block("B-tree's leaf", b"BTLF", leaf_address, length))
    leaf.expect(bytes([0, _BY_NAME]), "the type of a B-tree's leaf")
    links = []
    for _ in range(n_records):
        leaf.take(4)
        leaf.expect(b"\0", "the kind of an object in a heap")
        start, length = leaf.number(4), leaf.number(2)
        if start + length > len(heap):
            message = "a link lies beyond its heap"
            raise Malformed(message)
        links.append(heap[start : start + length])
    return links


def _heap_block(source: Source, address: int) -> memoryview:
    """Return the one block of a fractal heap, its own header included: offsets in the heap count from there."""
    heap = Cursor(source.read_block("heap", b"FRHP", address, 146))
    heap.expect(b"\0\x07\0\0\0", "the version, the object IDs and the filters of a heap")
    flags = heap.number(1)
    heap.take(4 + 12 * 8 + 2)
    size = heap.number()
    heap.take(8)
    heap.expect(b"\x20\0", "the size of offsets in a heap")
    heap.take(2)
    root, n_rows = heap.number(), heap.number(2)
    if n_rows or not flags & 0x02 or not 21 < size <= 1 << 16:
        message = "its links take more than one block of a heap"
        raise Malformed(message)
    block = source.read(root, size)
    if bytes(block[:5]) != b"FHDB\0":
        message = f"there is no block of a heap at {root:,}"
        raise Malformed(message)
    # Its checksum lies within what it covers, and counts as 0 there.
    source.check("heap's block", bytes(block[:17]) + bytes(4) + bytes(block[21:]), block[17:21])
    return block
