"""Records of a source, whatever it is stored in: JSON lines or an array, CSV, Parquet, Arrow, folders, the Hub.

Recognised by what a file holds; only CSV and TSV by their names. Compressed files are read through
(:mod:`tis_utils.examples.packed`).
"""

import csv
import io
import json
import lzma
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from tis_utils.errors import InputError
from tis_utils.examples import hub
from tis_utils.examples.formats import format_of
from tis_utils.examples.hub import ROWS
from tis_utils.examples.json_lines import parse, parse_array
from tis_utils.examples.packed import KINDS, LONGEST_LINE, Unpacked, bound, check_bound, check_text, packed_with, peek

PACKED = (".gz", ".bz2", ".xz", ".zst")

_Reader: TypeAlias = "io.BufferedReader[Any]"
_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True)
class Record:
    """One record: where it stands ("line 3"), its keys, and the line's own bytes if it has a line to itself."""

    place: str
    number: int
    values: Mapping[str, Any]
    raw: bytes | None = None
    remarks: tuple[str, ...] = ()  # in words that follow a number of lines

    @property
    def called(self) -> str:
        """Place and id, as errors name it: nobody sees the rows of a table."""
        name = self.values.get("id")
        return f"{self.place} (id {name!r:.60})" if isinstance(name, str | int) else self.place


class Source:
    """A file, ``-`` for standard input, a pipe, a folder of `datasets`, or the name of a data set on the Hub.

    Parameters
    ----------
    given : str or Path
        What comes from a pipe is copied to a temporary file, so that it can be read again.

    Attributes
    ----------
    name, stem : str
        For people; the stem without suffixes.
    path : Path
        The file or folder, if it is one.
    hub : bool
        Whether it is a name on the Hub.

    Raises
    ------
    InputError
        If there is no such thing.
    """

    def __init__(self, given: str | Path) -> None:
        self.given, self.path = str(given), Path(given)
        self._copy: BinaryIO | None = None
        there = bool(self.given) and self.path.exists()
        self.hub = not self.path.exists() and _HUB.fullmatch(self.given) is not None and not self.path.suffix
        self.name = self.given if self.hub or self.path.is_dir() else self.path.name
        packed = next((suffix for suffix in PACKED if self.path.name.endswith(suffix)), "")
        self.stem = self.given if self.hub else Path(self.path.name.removesuffix(packed)).stem
        if self.given == "-":
            self.name, self.stem, self._copy = "standard input", "stdin", _copied(sys.stdin.buffer)
        elif not self.hub and not there:
            raise InputError(
                f"{given} does not exist. Give the path of a file ({KINDS}), a folder that `datasets` saved, '-' for "
                "standard input, or the name of a data set on the Hub as in 'allenai/tulu-3-sft-mixture'."
            )
        elif self.path.is_dir():
            if not hub.is_saved(self.path):
                raise InputError(
                    f"{given} is a folder, and none that `datasets` saved (save_to_disk). Give its files one by one."
                )
        elif not self.hub and not self.path.is_file():
            with self._opened() as stream:
                self.name, self.stem, self._copy = "a pipe", "pipe", _copied(stream)

    def __str__(self) -> str:
        return self.name if self._copy else self.given

    def records(self) -> Iterator[Record]:
        """All records, in order; blank lines are none. Can be asked for again."""
        if self.hub or self.path.is_dir():
            rows = hub.rows(self.given, None, "train")
            yield from (Record(f"row {i}", i, row) for i, row in enumerate(rows, start=1))
            return
        with self._opened() as stream:
            yield from _of_stream(stream, self)

    def remark(self) -> str | None:
        """What of the source is not read: other splits than the one."""
        if self.hub:
            return f"{self.given}: the split 'train' is read, others are not."
        others = hub.other_splits(self.path) if self.path.is_dir() else []
        return f"{self.given}: splits that are not read: {', '.join(others)} (give their folders)." if others else None

    def schema(self) -> pa.Schema | None:
        """Columns of a Parquet file; None for all else."""
        if self._copy or not self.path.is_file():
            return None
        with self._opened() as stream:
            return pq.ParquetFile(stream).schema_arrow if stream.read(4) == b"PAR1" else None

    def _opened(self) -> BinaryIO:
        if self._copy:
            self._copy.seek(0)
            return _Kept(self._copy)
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.given} cannot be read: {error.strerror}. Check its permissions.") from error


def tell_apart(sources: Sequence[Source]) -> None:
    """Call files of one name by their paths, in what people read and in ids that are made."""
    names, stems = [s.name for s in sources], [s.stem for s in sources]
    for source in sources:
        source.name = str(source) if names.count(source.name) > 1 else source.name
        source.stem = str(source) if stems.count(source.stem) > 1 else source.stem


class _Kept(io.BufferedReader):  # type: ignore[type-arg]
    """A temporary file that outlives the blocks it is read in."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(cast(io.RawIOBase, file))

    def close(self) -> None:
        if not self.closed:
            self.detach()


def _copied(stream: BinaryIO) -> BinaryIO:
    copy = tempfile.TemporaryFile(mode="w+b")  # noqa: SIM115  lives as long as its source
    shutil.copyfileobj(stream, copy)
    return cast(BinaryIO, copy)


def _of_stream(stream: BinaryIO, source: Source) -> Iterator[Record]:
    head = peek(stream)
    packed = packed_with(head)
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    try:
        if packed:
            with io.BufferedReader(Unpacked(stream, packed, size, source)) as inner:
                yield from _of_text(inner, peek(inner), source)
        elif head.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
            yield from _of_table(stream, head, size, source)
        else:
            yield from _of_text(cast("_Reader", stream), head, source)
    except (EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowInvalid) as error:
        kind = packed or "table"
        raise InputError(
            f"{source}: this {kind} file is damaged or cut off ({error}). Fetch or write it again."
        ) from error


def _of_text(stream: _Reader, head: bytes, source: Source) -> Iterator[Record]:
    check_text(head, source)
    suffixes = {suffix.lower() for suffix in source.path.suffixes[-2:]}
    if suffixes & {".csv", ".tsv"}:
        yield from _of_csv(stream, source, "\t" if ".tsv" in suffixes else None)
    elif head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        for number, item in enumerate(parse_array(stream.read(), str(source)), start=1):
            raw, values, remarks = item
            yield Record(f"item {number}", number, values, raw, remarks)
    else:
        yield from _of_lines(stream, source)


def _of_lines(stream: _Reader, source: Source) -> Iterator[Record]:
    """Lines end at LF only, so U+2028 and its like stay inside texts."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        where = f"{source}, line {number}"
        if len(line) > LONGEST_LINE:
            raise InputError(f"{where} is longer than {LONGEST_LINE // 2**20} MiB. Expected one example per line.")
        raw = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if raw.strip():
            sound, values, remarks = parse(raw, where)
            yield Record(f"line {number}", number, values, sound, remarks)


def _of_csv(stream: BinaryIO, source: Source, delimiter: str | None) -> Iterator[Record]:
    """Rows under a header; an empty cell holds nothing if the others are an example without it."""
    csv.field_size_limit(LONGEST_LINE)
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        try:
            header = text.readline()
            names = next(csv.reader([header], delimiter=delimiter or _delimiter(header)), [])
            _check_names(names, source)
            rows = csv.reader(text, delimiter=delimiter or _delimiter(header), strict=True)
            for row in filter(None, rows):
                place = f"line {rows.line_num + 1}"
                if len(row) != len(names):
                    raise InputError(
                        f"{source}, {place}: {len(row)} cells, but the header has {len(names)}. Quote cells that hold "
                        "the separator."
                    )
                values = dict(zip(names, row, strict=True))
                filled = {name: cell for name, cell in values.items() if cell}
                raw = json.dumps(values, ensure_ascii=False).encode() + b"\n"
                yield Record(place, rows.line_num + 1, filled if format_of(filled) else values, raw)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{source}: not UTF-8 (byte {error.object[error.start]:#04x}). Save the file in UTF-8 encoding."
            ) from error
        except csv.Error as error:
            raise InputError(
                f"{source}: no valid CSV ({error}). Quote cells that hold quotes or line breaks."
            ) from error


def _check_names(names: list[str], source: Source) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{source} has two columns named {twice!r}, and only one of them could be read. Rename one.")


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _of_table(stream: BinaryIO, head: bytes, size: int, source: Source) -> Iterator[Record]:
    number, left = 0, bound(size)
    for batch in _batches(stream, head):
        left -= batch.nbytes
        check_bound(left, source)
        _check_names(batch.schema.names, source)
        for row in batch.to_pylist():
            number += 1
            yield Record(f"row {number}", number, row)


def _batches(stream: BinaryIO, head: bytes) -> Iterator[pa.RecordBatch]:
    if head.startswith(b"PAR1"):
        yield from pq.ParquetFile(stream).iter_batches(ROWS)
    elif head.startswith(b"ARROW1"):
        reader = pa.ipc.open_file(stream)
        yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        yield from pa.ipc.open_stream(stream)
