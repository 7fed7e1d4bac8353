"""What a selection writes: the subset in the format that its name says, and beside it a table and a report."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from tis_utils.errors import InputError
from tis_utils.examples.fields import is_null, plain
from tis_utils.examples.jsonl import Reading
from tis_utils.examples.records import Record, Source
from tis_utils.own_data.report import report
from tis_utils.own_data.result import Selection
from tis_utils.paths import check_file, same_file
from tis_utils.storage.manifests import write_atomically, write_table

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".parquet")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of a formula


def save(result: Selection, output: Path) -> dict[str, Path]:
    """Write the subset, best first, and beside it a table and a report.

    JSON lines of the pool are copied byte by byte; what stood in tables or arrays is written with all its columns.

    Raises
    ------
    InputError
        If the subset would replace the pool, or its format cannot hold the records.
    RunError
        If a file cannot be written.
    """
    paths = outputs(result.sources, output)
    write_subset(result.reading, result.picks.tolist(), output)
    write_table(paths["table"], defused(result.table()))
    report(result, paths["report"])
    return paths


def outputs(sources: Mapping[str, Sequence[Source]], output: Path) -> dict[str, Path]:
    """The files that :func:`save` writes; an InputError where one could not be written or would replace another.

    `sources` are what is read, by role ("pool", "queries").
    """
    suffix = suffix_of(output)
    stem = output.with_name(output.name.removesuffix(suffix))
    paths = {"subset": output, "table": _beside(stem, ".csv"), "report": _beside(stem, ".html")}
    for what, path in paths.items():
        check_file(path)
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no ordinary file, so no {what} can be written there. Choose another --output.")
        if what != "subset" and path.exists() and not output.exists():
            raise InputError(
                f"The {what} would replace {path}, which does not belong to an earlier {output.name}. Choose another "
                "name after --output."
            )
        for role, given in sources.items():
            for source in given:
                if source.path.exists() and same_file(path, source.path):
                    raise InputError(
                        f"The {what} would replace the {role} {source}: choose another name after --output."
                    )
    return paths


def suffix_of(output: Path) -> str:
    """The suffix that says the format of a subset; an InputError where there is none of the known ones."""
    if str(output) == "-":
        raise InputError("Three files are written: the subset, a table and a report. Give --output a name for them.")
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if output.name.endswith(suffix) and output.name != suffix:
            return suffix
    table = " A .csv and an .html are written beside it." if output.suffix in (".csv", ".html") else ""
    names = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    raise InputError(f"The name {output.name!r} says no format. Give --output a name that ends in {names}.{table}")


def _beside(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def write_subset(reading: Reading[Any], picks: Sequence[int], output: Path) -> None:
    """Write the records behind some items, in the order of `picks`, in the format of the file's suffix."""
    suffix, records = suffix_of(output), _chosen(reading, picks)
    if suffix == ".parquet":
        write_atomically(output, _parquet(records, reading.sources))
        return
    texts = (_line(record) for record in records)
    if suffix == ".json":
        write_atomically(output, b"[\n" + b",\n".join(text.strip() for text in texts) + b"\n]\n")
    elif suffix == ".jsonl":
        write_atomically(output, texts)
    else:
        whole = b"".join(texts)
        packed = gzip.compress(whole, mtime=0) if suffix == ".jsonl.gz" else pa.compress(whole, "zstd", asbytes=True)
        write_atomically(output, packed)


def _chosen(reading: Reading[Any], picks: Sequence[int]) -> list[Record]:
    places = [reading.places[i] for i in picks]
    chosen, records = set(places), {}
    for place, source in enumerate(reading.sources):
        for record in source.records():
            if (place, record.number) in chosen:
                records[place, record.number] = record
    if missing := chosen - records.keys():
        source = reading.sources[next(iter(missing))[0]]
        raise InputError(f"{source} has changed while it was read. Run the command again.")
    return [records[place] for place in places]


def _line(record: Record) -> bytes:
    if record.raw is not None:
        return record.raw if record.raw.endswith(b"\n") else record.raw + b"\n"
    values = {key: _finite(plain(value)) for key, value in record.values.items()}
    return json.dumps(values, ensure_ascii=False, default=_text).encode() + b"\n"


def _finite(value: Any) -> Any:
    """Null for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if is_null(value) or value in (float("inf"), float("-inf")) else value


def _text(value: object) -> str:
    """Bytes as Base64; dates and decimals as they are read by people."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _parquet(records: Sequence[Record], sources: Sequence[Source]) -> bytes:
    """One table of all records; the columns are those of the pool where it is one Parquet file."""
    schema = sources[0].schema() if len(sources) == 1 else None
    rows = [dict(record.values) for record in records]
    names = schema.names if schema else list(dict.fromkeys(name for row in rows for name in row))
    try:
        columns = {name: [row.get(name) for row in rows] for name in names}
        table = pa.table(columns, schema=schema) if schema else pa.table(columns)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise InputError(
            f"The records do not fit one table ({error}). Give --output a name that ends in .jsonl instead."
        ) from error
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    return bytes(buffer.getvalue())


def defused(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before texts that a spreadsheet would run as formulas."""
    texts = table.select_dtypes(["object", "string"]).columns
    return table.assign(**{name: [_harmless(value) for value in table[name]] for name in texts})


def _harmless(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
