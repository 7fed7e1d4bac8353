"""What a file is by its first bytes, and compressed files read through, up to a bound: kilobytes can hold terabytes."""

import bz2
import gzip
import io
import lzma
from typing import Any, BinaryIO, cast

import pyarrow as pa  # type: ignore[import-untyped]

from tis_utils.errors import InputError

HEAD = 512  # bytes at the start of a file that say what it is
LONGEST_LINE = 2**26  # bytes
EXPANSION = 200  # times its size that a compressed file may hold, where that is more than LONGEST_LINE
KINDS = "JSON lines, a JSON array, CSV, TSV, Parquet or Arrow, also compressed with gzip, bzip2, xz or zstd"

_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"\x89HDF": "an HDF5 file",
    b"SQLite": "an SQLite data base",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"%PDF": "a PDF",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x04\x22\x4d\x18": "compressed with LZ4",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"<": "a web page or another XML file",
    b"version https://git-lfs": "a Git LFS pointer in the place of the file, which `git lfs pull` fetches",
    **dict.fromkeys(_PACKED, "compressed twice"),
    **dict.fromkeys((b"PAR1", b"ARROW1"), "a compressed Parquet or Arrow file; unpack it, they compress themselves"),
}


def peek(stream: BinaryIO) -> bytes:
    """The first bytes of a buffered stream, which stay in it."""
    return cast("io.BufferedReader[Any]", stream).peek(HEAD)[:HEAD]


def packed_with(head: bytes) -> str | None:
    """How a file is compressed."""
    return next((name for magic, name in _PACKED.items() if head.startswith(magic)), None)


def check_text(head: bytes, name: object) -> None:
    """Refuse what is no text."""
    kind = next((kind for magic, kind in _FOREIGN.items() if head.startswith(magic)), None)
    if head[257:262] == b"ustar":
        kind = "a tar archive"
    if kind:
        raise InputError(f"{name} is {kind}. What is read: {KINDS}.")


def check_bound(left: int, name: object) -> None:
    """Refuse what has unpacked to more than its bound: nothing is left."""
    if left < 0:
        raise InputError(
            f"{name} holds more than {EXPANSION} times its own size once it is unpacked, more than texts do. If it "
            "is sound, unpack it yourself and give the unpacked file."
        )


def bound(size: int) -> int:
    """Bytes that a file of `size` bytes may unpack to."""
    return max(LONGEST_LINE, EXPANSION * size)


class Unpacked(io.RawIOBase):
    """What comes out of a compressed file, up to the bound of its size.

    Parameters
    ----------
    stream : file
    kind : str
        See :func:`packed_with`.
    size : int
        Of the file, in bytes.
    name : object
        What errors call it.
    """

    def __init__(self, stream: BinaryIO, kind: str, size: int, name: object) -> None:
        self.left, self.name = bound(size), name
        openers: dict[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
        zstd = kind == "zstd"
        self.stream = pa.CompressedInputStream(pa.PythonFile(stream), kind) if zstd else openers[kind](stream, "rb")

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what comes next."""
        piece = self.stream.read(min(len(buffer), 2**20))
        self.left -= len(piece)
        check_bound(self.left, self.name)
        buffer[: len(piece)] = piece
        return len(piece)
