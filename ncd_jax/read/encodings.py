"""In what characters a text is written, told from its bytes."""

import codecs
import re
from collections.abc import Callable
from typing import IO

from ncd_jax.errors import UserError

__all__ = ["find_encoding"]

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
_FOREIGN = [
    "cp1251",
    "koi8_r",
    "cp1253",
    "cp1255",
    "cp1256",
    "shift_jis",
    "gb18030",
    "big5",
    "euc_kr",
]
"""Encodings of scripts that are not Latin: what they say in Western letters is no text at all."""
_FIGURES = b"0123456789,;|\t"
_FEWEST = 8
"""Bytes beyond ASCII from which a script can be told."""


def find_encoding(open_file: Callable[[], IO[bytes]], wished: str = "") -> str:
    """The encoding of a text file.

    A byte order mark says it. Else it is UTF-16 where every other byte is 0, UTF-8 where that
    fits throughout, and otherwise what Windows writes in the West, `cp1252`, unless the bytes
    speak for another script.

    Args:
        open_file: gives the bytes, from the beginning.
        wished: the encoding where somebody has said it.

    Raises:
        UserError: it is no text, or not in the encoding that was asked for.
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
    foreign = _foreign(open_file)
    for name in [*foreign, *_WESTERN]:
        if _fits(open_file, name):
            return name
    raise AssertionError("every byte is a character of latin-1")


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
