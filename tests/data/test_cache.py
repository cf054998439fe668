import hashlib
import io
import os
import stat
import zipfile
from pathlib import Path

import pytest

from ncd_jax.data import cache
from ncd_jax.data.cache import RawFile, cache_dir, ensure_files
from ncd_jax.errors import UserError

NOWHERE = "http://127.0.0.1:9/table.zip"
BODY = b"1,2,3\n" * 1000
PINNED = RawFile("table.data", hashlib.sha256(BODY).hexdigest())


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return buffer.getvalue()


def error_of(*args):
    with pytest.raises(UserError) as caught:
        ensure_files(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def everything_below(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_folder_is_chosen_in_order(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NCD_JAX_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_dir(None) == tmp_path / ".cache" / "ncd_jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_dir(None) == Path("/x/ncd_jax")
    monkeypatch.setenv("NCD_JAX_DATA", "~/mine")
    assert cache_dir(None) == tmp_path / "mine"
    assert cache_dir(Path("given")) == Path("given")


def test_files_that_are_there_need_no_network(tmp_path):
    (tmp_path / "table.data").write_bytes(BODY)
    (tmp_path / "other").write_bytes(b"?")
    ensure_files(tmp_path, [PINNED, RawFile("other")], NOWHERE)
    ensure_files(tmp_path / "none", [], NOWHERE)
    assert everything_below(tmp_path) == ["other", "table.data"]


def test_downloads_what_is_missing_and_nothing_else(serve, tmp_path):
    base = serve({"/t.zip": zipped({"deep/folder/table.data": BODY, "a": b"new", "junk": b"!"})})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_bytes(b"old")
    left = tmp_path / "mine" / ".table.data.x1y2"  # by a process that was killed
    left.write_bytes(BODY[:9])
    os.utime(left, (1e9, 1e9))
    reports = []
    ensure_files(
        tmp_path / "mine",
        [PINNED, RawFile("a")],
        base + "/t.zip",
        lambda done, total: reports.append((done, total)),
    )
    assert everything_below(tmp_path) == ["mine", "mine/a", "mine/table.data"]
    assert (tmp_path / "mine" / "table.data").read_bytes() == BODY
    assert (tmp_path / "mine" / "a").read_bytes() == b"old"
    assert reports[-1][0] == reports[-1][1] > 0
    ensure_files(tmp_path / "mine", [PINNED, RawFile("a")], base + "/t.zip")
    assert serve.asked == ["/t.zip"]


def test_length_need_not_be_told(serve, tmp_path):
    base = serve({"/t.zip": (zipped({"table.data": BODY}), None)})
    reports = []
    ensure_files(tmp_path, [PINNED], base + "/t.zip", lambda *report: reports.append(report))
    assert reports[-1][1] is None


def test_archive_in_an_archive(serve, tmp_path):
    inner = zipped({"Folder/train/table.data": BODY})
    base = serve({"/t.zip": zipped({"names": b"", "inner.zip": inner, "z": b"z"})})
    ensure_files(tmp_path, [PINNED, RawFile("z")], base + "/t.zip")
    assert everything_below(tmp_path) == ["table.data", "z"]


def test_damaged_file_is_named_and_kept(tmp_path):
    path = tmp_path / "table.data"
    path.write_bytes(BODY[:-1])
    message = error_of(tmp_path, [PINNED], NOWHERE)
    assert str(path) in message
    assert "delete it" in message
    assert path.read_bytes() == BODY[:-1]


def test_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "table.data").mkdir()
    assert "cannot be read" in error_of(tmp_path, [PINNED], NOWHERE)


def assert_says_what_to_do(message, folder, url):
    for fragment in ("table.data", str(folder), url, "put what is missing there"):
        assert fragment in message
    assert everything_below(folder) == []


def test_offline(tmp_path):
    assert_says_what_to_do(error_of(tmp_path, [PINNED], NOWHERE), tmp_path, NOWHERE)


def slip(name):
    return zipped({f"../../{name}": b"evil", f"/{name}": b"evil", "..\\x": b"evil"})


def link():
    info = zipfile.ZipInfo("table.data")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zipped({info: "/etc/passwd"})


def flipped():
    body = bytearray(zipped({"table.data": os.urandom(5000)}))
    body[2500] ^= 255
    return bytes(body)


WHOLE = zipped({"table.data": BODY})
BAD_ARCHIVES = {
    "missing": None,
    "not-zip": b"<html>moved</html>",
    "empty": b"",
    "truncated": WHOLE[: len(WHOLE) // 2],
    "cut-connection": (WHOLE[:50], len(WHOLE)),
    "flipped-bits": flipped(),
    "other-content": zipped({"table.data": BODY + b"4"}),
    "without-the-file": zipped({"readme": b"?"}),
    "slip": slip("table.data"),
    "link": link(),
    "folder": zipped({"table.data/": b""}),
    "too-deep": zipped({"a.zip": zipped({"b.zip": WHOLE})}),
    "broken-inner": zipped({"a.zip": b"PK?"}),
}


@pytest.mark.parametrize("archive", BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_bad_archives_leave_nothing_behind(serve, tmp_path, archive):
    folder = tmp_path / "a" / "b"
    url = serve({} if archive is None else {"/t.zip": archive}) + "/t.zip"
    assert_says_what_to_do(error_of(folder, [PINNED], url), folder, url)
    assert everything_below(tmp_path) == ["a", "a/b"]


def test_link_is_no_file_even_where_no_checksum_is_known(serve, tmp_path):
    url = serve({"/t.zip": link()}) + "/t.zip"
    assert "does not hold table.data" in error_of(tmp_path, [RawFile("table.data")], url)


def test_cut_connection_is_called_that(serve, tmp_path):
    """The archive itself is whole, so only the length tells."""
    url = serve({"/t.zip": (WHOLE, len(WHOLE) + 10)}) + "/t.zip"
    assert f"{len(WHOLE)} of {len(WHOLE) + 10} bytes" in error_of(tmp_path, [PINNED], url)


def test_archives_cannot_write_outside(serve, tmp_path):
    url = serve({"/t.zip": slip("x")}) + "/t.zip"
    ensure_files(tmp_path / "a" / "b", [RawFile("x")], url)
    assert everything_below(tmp_path) == ["a", "a/b", "a/b/x"]


def test_links_are_not_followed_when_writing(serve, tmp_path):
    """A dangling link counts as missing; the file takes its place and its target stays away."""
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "table.data").symlink_to(tmp_path / "elsewhere")
    ensure_files(folder, [PINNED], serve({"/t.zip": WHOLE}) + "/t.zip")
    assert everything_below(tmp_path) == ["a", "a/table.data"]
    assert not (folder / "table.data").is_symlink()


@pytest.mark.parametrize("name", ["table.data", "inner.zip"])
def test_size_limit_holds_for_what_is_unpacked(serve, tmp_path, monkeypatch, name):
    monkeypatch.setattr(cache, "_MOST_BYTES", 10_000)
    url = serve({"/t.zip": zipped({name: bytes(100_000)})}) + "/t.zip"
    message = error_of(tmp_path, [RawFile("table.data")], url)
    assert "10000 bytes" in message
    assert_says_what_to_do(message, tmp_path, url)


def test_size_limit_holds_for_the_download(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_MOST_BYTES", 100)
    url = serve({"/t.zip": os.urandom(200)}) + "/t.zip"
    assert "100 bytes" in error_of(tmp_path, [PINNED], url)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    message = error_of(tmp_path / "file" / "table", [PINNED], NOWHERE)
    assert "table.data" in message
