"""Rows of parquet files, a batch at a time, without trust in what the file claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from envs.demos.formats.lerobot_meta import pyarrow
from envs.demos.hdf5 import short
from envs.demos.layout import LIKELY_DEFLATION, SMALL
from whatwhere.errors import BadInput, is_of_this_machine

BATCH = 64  # rows, so as many pictures of each camera, in memory besides an episode
MAX_EPISODES = 100_000
LIKELY_ROWS = 200_000  # beyond these, a file has at least a byte a row
WIDEST = 8  # bytes of a number


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    pa, _ = pyarrow()
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError) as error:
        if is_of_this_machine(error):
            raise
        raise BadInput(f"{path}: damaged, or not a parquet file of this kind ({short(error)})") from None


def _open(path: Path) -> Any:
    _, pq = pyarrow()
    file = pq.ParquetFile(path, page_checksum_verification=True, thrift_string_size_limit=64 << 20, thrift_container_size_limit=10_000_000)
    size = path.stat().st_size
    if file.metadata.num_rows > max(LIKELY_ROWS, size) or file.metadata.num_row_groups > max(1, file.metadata.num_rows):
        raise BadInput(f"{path}: claims {file.metadata.num_rows} rows in {file.metadata.num_row_groups} groups, in {size} bytes")
    for group in range(file.metadata.num_row_groups):
        for number in range(file.metadata.num_columns):
            column = file.metadata.row_group(group).column(number)
            claimed = max(column.total_uncompressed_size, WIDEST * column.num_values)  # one number can stand for millions
            if claimed > max(SMALL, LIKELY_DEFLATION * column.total_compressed_size):
                raise BadInput(f"{path}: {column.path_in_schema:.80}: claims {claimed} bytes in {column.total_compressed_size}")
    return file


def table_rows(path: Path, wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    """All rows of a small table, its columns chosen by name. Raises BadInput."""
    with _reading(path):
        file = _open(path)
        if file.metadata.num_rows > MAX_EPISODES:
            raise BadInput(f"{path}: {file.metadata.num_rows} rows, at most {MAX_EPISODES} are read")
        columns = [name for name in file.schema_arrow.names if wanted(name)]
        return [row for batch in file.iter_batches(batch_size=BATCH, columns=columns, use_threads=False) for row in batch.to_pylist()]


class Rows:
    """The rows of a file in rising order; going back starts anew. Raises BadInput."""

    def __init__(self, path: Path, columns: list[str]) -> None:
        self.path, self.columns, self._file = path, columns, None
        self._batches: Iterator[Any] = iter(())
        self._batch, self._at = None, 0  # the batch in hand and the row of the file it begins at

    def take(self, start: int, count: int) -> dict[str, Any]:
        """Rows `start` … `start + count - 1` by column: numbers as arrays (count,) or (count, n), anything else as a list."""
        pa, _ = pyarrow()
        with _reading(self.path):
            if self._file is None or start < self._at:
                self._begin()
            if start + count > (rows := self._file.metadata.num_rows):  # type: ignore[attr-defined]
                raise BadInput(f"{self.path}: ends at row {rows}, needed are {start + count}")
            pieces, needed = [], start
            while needed < start + count:
                if self._batch is None or needed >= self._at + len(self._batch):
                    self._next(start + count)
                    continue
                pieces.append(self._batch.slice(needed - self._at, start + count - needed))
                needed += len(pieces[-1])
            table = pa.Table.from_batches(pieces)
            return {name: _values(self.path, name, table.column(name)) for name in self.columns}

    def _begin(self) -> None:
        self.close()
        self._file = _open(self.path)
        for name in self.columns:
            if name not in self._file.schema_arrow.names:
                raise BadInput(f"{self.path}: {name}: no such column")
        self._batches, self._batch, self._at = self._file.iter_batches(batch_size=BATCH, columns=self.columns, use_threads=False), None, 0

    def _next(self, needed: int) -> None:
        self._at += len(self._batch) if self._batch is not None else 0
        self._batch = next(self._batches, None)
        if self._batch is None:  # it has fewer than it claims
            raise BadInput(f"{self.path}: ends at row {self._at}, needed are {needed}")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _values(path: Path, name: str, column: Any) -> Any:
    pa, _ = pyarrow()
    kind = column.type
    if pa.types.is_struct(kind):
        return column.to_pylist()
    if column.null_count:
        raise BadInput(f"{path}: {name}: has gaps")
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
        lengths = {len(cell) for cell in column}
        flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
        if len(lengths) != 1 or not 0 < (size := lengths.pop()) <= 4096 or flat.dtype.kind not in "fiub":
            raise BadInput(f"{path}: {name}: needs as many numbers in every row, at most 4096")
        return flat.reshape(-1, size)
    return column.to_numpy()
