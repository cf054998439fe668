"""How a text is written: packed, in what characters, with what between cells, its header where."""

import bz2
import codecs
import collections
import contextlib
import csv
import gzip
import io
import itertools
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow

from ncd_jax.errors import UserError
from ncd_jax.read.names import checked_names, one_line, show
from ncd_jax.read.options import Choose, ReadOptions

__all__ = ["PACKED", "TEXT", "TITLES", "Record", "Text", "header_at", "is_figure"]

TEXT = (".csv", ".tsv", ".tab", ".txt")
PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")
TITLES = 20
"""Lines with a title above a header, or with remarks below the table, at most."""
_SEPARATORS = ",;\t|"
_LAST_RESORT = " "
"""Separates where no other sign does."""
_TABS = (".tsv", ".tab")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_OPENERS[".zst"] = lambda path, _: pyarrow.input_stream(str(path), compression="zstd")
_SAID = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.I)
_RECORDS = 200
"""Records that the layout is told from."""
_LONGEST_CELL = 1 << 24
"""Characters of a cell; in a longer one a quote is open that nobody closed."""
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_PIECE = 1 << 20
_SAMPLE = 1 << 16
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]")
_WESTERN = ("cp1252", "latin-1")
_SCRIPTS = "cp1251 koi8_r cp1253 cp1255 cp1256 shift_jis gb18030 big5 euc_kr"
_FOREIGN = _SCRIPTS.split()
"""Encodings of scripts that are not Latin: what they say in Western letters is no text at all."""
_FIGURES = b"0123456789,;|\t"
_FEWEST = 8
"""Bytes beyond ASCII from which a script can be told."""
Record = tuple[int, list[str]]
"""The line in which a row begins, from 1, and its cells."""


class Text:
    """A file of text, packed or not, that was looked into and can be opened again and again.

    Attributes:
        path: of the file.
        encoding: of the text.
        separator: between cells.
        skipped: records before the header.
        width: columns.
        names: of the columns that are wanted.
        places: where these are.
    """

    def __init__(self, path: Path, choose: Choose, options: ReadOptions) -> None:
        """Raises `UserError` where it is no table, or what `choose` raises."""
        self.path, self._options = path, options
        self.encoding = _find_encoding(self.open, options.encoding)
        self.separator, self.skipped, header = _layout(self)
        names = checked_names(header)
        wanted, self.width = set(choose(names)), len(names)
        self.places = [i for i, name in enumerate(names) if name in wanted]
        self.names = [names[i] for i in self.places]

    def open(self) -> IO[bytes]:
        """The bytes, unpacked as the suffix says, and no more of them than are wanted."""
        return io.BufferedReader(_Bounded(_unpacked(self.path), self._options), 1 << 16)

    @contextlib.contextmanager
    def decoded(self) -> Iterator[IO[str]]:
        """The text."""
        form: dict[str, Any] = {"encoding": self.encoding, "newline": ""}
        with self.open() as file, io.TextIOWrapper(file, **form) as text:
            yield text

    @contextlib.contextmanager
    def records(self, separator: str) -> Iterator[Iterator[Record]]:
        """Its rows."""
        with self.decoded() as text:
            yield _parsed(text, separator)


class _Bounded(io.RawIOBase):
    def __init__(self, stream: IO[bytes], options: ReadOptions) -> None:
        self._stream: Any = stream
        self._options, self._n_read = options, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self._stream.readinto(buffer)
        self._n_read += n
        self._options.check_size(self._n_read)
        return n

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def _unpacked(path: Path) -> IO[bytes]:
    kind = path.suffix.lower()
    if kind == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [i for i in archive.infolist() if not (i.is_dir() or _is_clutter(i.filename))]
            if len(members) != 1:
                names = ", ".join(show(info.filename) for info in members[:5])
                raise UserError(
                    f"it holds {len(members)} files{f' ({names})' if members else ''};"
                    " pack the table alone"
                )
            return archive.open(members[0])
    file: IO[bytes] = _OPENERS.get(kind, open)(path, "rb")
    return file


def _is_clutter(name: str) -> bool:
    """Whether it is what a Mac packs beside the files."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith(".")


def _parsed(text: IO[str], separator: str) -> Iterator[Record]:
    """The cells of every line that is not blank."""
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True, strict=True)
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        line = 1
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        reason = one_line(error)
        if "field limit" in reason:
            reason = "a cell begins there that has no end within 16 million characters"
        raise UserError(
            f"it is not a CSV table (line {reader.line_num}: {reason}); mend that line"
        ) from None
    except UnicodeError:
        raise UserError("it is not in its encoding throughout; give --encoding") from None
    finally:
        csv.field_size_limit(before)


def _find_encoding(open_file: Callable[[], IO[bytes]], wished: str = "") -> str:
    """The encoding of a text file, or that which somebody has said.

    A byte order mark says it. Else it is UTF-16 where every other byte is 0, UTF-8 where that
    fits throughout, and otherwise what Windows writes in the West, `cp1252`, unless the bytes
    speak for another script.
    """
    if wished:
        return _wished(open_file, wished)
    with open_file() as file:
        start = file.read(_SAMPLE)
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    if len(start) > 3 and b"\0" in start[:400]:
        for name, zeros in (("utf-16-le", start[1:400:2]), ("utf-16-be", start[0:400:2])):
            if 2 * zeros.count(b"\0") > len(zeros) and not _CONTROL.search(
                start[: len(start) // 2 * 2].decode(name, "ignore").encode("utf-8", "ignore")
            ):
                return name
    if _fits(open_file, "utf-8"):
        return "utf-8"
    if _CONTROL.search(start):
        raise UserError("it is not text; save the table as CSV, or give it its right suffix")
    names = [*_foreign(open_file), *_WESTERN]
    return next(name for name in names if _fits(open_file, name))


def _wished(open_file: Callable[[], IO[bytes]], name: str) -> str:
    try:
        " ".encode(name)
    except (LookupError, ValueError):  # none, or none of texts
        raise UserError(
            f"there is no encoding {name!r}; give one such as utf-8, cp1252 or utf-16"
        ) from None
    if not _fits(open_file, name):
        raise UserError(f"it is not in {name}; give another --encoding, or leave it to be found")
    return name


def _fits(open_file: Callable[[], IO[bytes]], name: str) -> bool:
    decoder = codecs.getincrementaldecoder(name)()
    try:
        with open_file() as file:
            while piece := file.read(_PIECE):
                # Nearly all of most files, and told ten times as fast.
                if not (name == "utf-8" and piece.isascii() and not decoder.getstate()[0]):
                    decoder.decode(piece)
        decoder.decode(b"", final=True)
    except (UnicodeError, ValueError):
        return False
    return True


def _foreign(open_file: Callable[[], IO[bytes]]) -> list[str]:
    """An encoding of another script, where the lines beyond ASCII speak for it."""
    sample, n = [], 0
    with open_file() as file:
        for line in file:
            if not line.isascii():
                sample.append(line)
                n += len(line)
            if n > _SAMPLE:
                break
    text = b"".join(sample)
    if sum(byte > 127 for byte in text) < _FEWEST:
        return []
    # Figures between the words would be taken for noise.
    words = text.translate(None, _FIGURES)
    import charset_normalizer  # here, as few tables are in neither Unicode nor a Western encoding

    best = charset_normalizer.from_bytes(words, cp_isolation=[*_FOREIGN, *_WESTERN]).best()
    # In Western words few letters have accents.
    beyond = sum(byte > 127 for byte in words)
    letters = sum(chr(byte).isalpha() for byte in words if byte < 128)
    return [best.encoding] if best and best.encoding in _FOREIGN and beyond > letters else []


def header_at(records: Sequence[Sequence[Any]]) -> int:
    """Which of the first records of a table is its header: the first one that is no title.

    A title has a cell or none, where the table has several.
    """
    filled = [sum(cell not in (None, "") for cell in cells) for cells in records]
    widths = [len(cells) for cells in records]
    usual = collections.Counter(widths).most_common(1)[0][0]
    first = widths.index(usual)
    if 0 < first <= TITLES and max(widths[:first]) < usual - 1 and _are_names(records[first]):
        return first
    for i, (n, width) in enumerate(zip(filled, widths, strict=True)):
        if n > 1 or usual < 2 or (usual == 2 and width == 2):
            return i + _names_groups(records[i : i + 3])
    return 0


def _names_groups(records: Sequence[Sequence[Any]]) -> bool:
    """Whether the first of three rows names groups of columns, and the second these columns.

    As merged cells are saved, a group has its name above its first column, and none above others.
    """
    if len(records) < 3 or len({len(cells) for cells in records}) > 1:
        return False
    groups, names, row = records
    n_empty = sum(cell in (None, "") for cell in groups)
    is_whole = not any(cell in (None, "") or is_figure(cell) for cell in names)
    return n_empty > 1 and is_whole and any(map(is_figure, row))


def is_figure(cell: Any) -> bool:
    """Whether a cell holds a number and no word."""
    text = str(cell)
    return any(map(str.isdigit, text)) and not any(map(str.isalpha, text))


def _are_names(cells: Sequence[Any]) -> bool:
    """Whether a row may be a header: words, no two alike."""
    words = [str(cell).strip() for cell in cells if cell not in (None, "")]
    return len(set(words)) == len(words) and not any(w.replace(".", "").isdigit() for w in words)


def _layout(source: Text) -> tuple[str, int, list[str]]:
    """The separator, the records before the header, and its cells, one for each column."""
    suffix = next(s for s in reversed(source.path.suffixes) if s.lower() in TEXT)
    with source.decoded() as text:
        first = text.readline(_RECORDS)
    said = _SAID.fullmatch(first)
    choices = said[1] if said else "\t" if suffix.lower() in _TABS else _SEPARATORS
    best, best_rank, mistake = None, (False, 0, 0.0, 0), None
    for separator in choices:
        try:
            with source.records(separator) as found:
                records = [cells for _, cells in itertools.islice(found, _RECORDS)]
        except UserError as error:  # quotes that are none with this separator
            mistake = mistake or error
            continue
        records = records[bool(said) :]
        if not records:
            continue
        at = header_at(records)
        header, rows = _fitted(records[at], records[at + 1 :])
        share = sum(len(cells) == len(header) for cells in rows) / max(len(rows), 1)
        rank = (len(header) > 1, -at, round(share, 1) if rows else 1.0, len(header))
        if best is None or rank > best_rank:
            best, best_rank = (separator, at + bool(said), header), rank
    if (best is None or len(best[2]) == 1) and not said:
        best = _by_blanks(source) or best
    if mistake is not None and (best is None or len(best[2]) == 1):
        raise mistake
    if best is None:
        raise UserError("it is empty; give a table with a header row")
    return best


def _by_blanks(source: Text) -> tuple[str, int, list[str]] | None:
    """How a text is laid out whose cells stand apart by blanks, if all its rows have as many."""
    with contextlib.suppress(UserError), source.records(_LAST_RESORT) as found:
        records = [cells for _, cells in itertools.islice(found, _RECORDS)]
        records = [cells[:-1] if not cells[-1] else cells for cells in records]
        if len(records) > 1 and len(records[0]) > 1 and len(set(map(len, records))) == 1:
            return _LAST_RESORT, 0, records[0]
    return None


def _fitted(header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The header with a name for each column, and rows less empty cells behind them.

    Lines may end in a separator, all of them or the rows alone. R writes no name above the names
    of rows.
    """
    width = len(header)
    while width > 1 and not header[width - 1] and not any(any(c[width - 1 :]) for c in rows):
        width -= 1
    header = header[:width]
    rows = [cells[:width] if not any(cells[width:]) else cells for cells in rows]
    if rows and all(len(cells) == width + 1 for cells in rows):
        first = [cells[0] for cells in rows]
        if len(set(first)) == len(first) and len(rows) > 1:
            header = ["", *header]
    return header, rows
