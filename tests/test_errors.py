"""What reaches a terminal: no password, and no sign that moves its cursor or turns its writing."""

import io
import unicodedata

import pytest
from rich.console import Console

from ncd_jax.errors import printable, without_password
from ncd_jax.report.console import make_reporter, summary

NASTY = "a\x1b[2Jb\x07\x9b1mc\u202edef\u2066g\r\x08\x7f\udc80"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:s3 cr3t@host/db",
        "postgresql://u:s3@cr3t@host/db",
        "postgresql://u:s3@c r3t@host:5432/db?x=1",
        "postgresql+psycopg://u:s3cr3t@host/db cannot be used (no route to u@host)",
        "u:s3cr3t@host/db",
        "config.search.storage=u:s3 cr3t@host:1/db: its folder does not exist",
        "postgresql://host/db?user=u&PASSWORD=s3cr3t",
        "postgresql://host/db?password=s3 cr3t&x=1",
        "host=h;PWD=s3cr3t",
        "x?sslPassword = s3cr3t",
        "a=1&passwd=s3cr3t",
    ],
)
def test_passwords_are_not_said(text):
    said = without_password(text)
    for part in ("s3", "cr3t", "r3t"):
        assert part not in said
    assert "***" in said
    assert without_password(said) == said


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u@h:1/d cannot be used; check it",
        "sqlite:///a/b@c",
        "line 5: write to a@b.c/x",
        "--names: 'a:b' is no name",
        "a: b@c",
    ],
)
def test_what_is_no_password_is_said(text):
    assert without_password(text) == text


def is_harmless(text):
    return all(
        sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cs") for sign in text
    ) and not any(unicodedata.bidirectional(sign)[:2] in ("RL", "LR", "PD", "FS") for sign in text)


def test_control_signs_are_written_out():
    assert printable("Ünïcode, \t日本 \u05e9\u200d\n") == "Ünïcode, \t日本 \u05e9\u200d\n"
    assert printable("\x1b[2J\u202ex") == "\\x1b[2J\\u202ex"
    assert is_harmless(printable(NASTY))
    assert not is_harmless(NASTY)
    every = "".join(map(chr, range(0x20FF)))
    assert is_harmless(printable(every))


@pytest.mark.parametrize("is_terminal", [False, True])
def test_names_reach_the_console_harmless(findings, is_terminal, tmp_path):
    console = Console(file=io.StringIO(), width=200, force_terminal=is_terminal, color_system=None)
    metrics = findings.metrics | {
        "names": {"novel_0": NASTY},
        "known_sizes": {NASTY + "x": 3},
        "n_rows_known": 3,
        "warnings": [f"column {NASTY} is odd"],
    }
    summary(metrics, tmp_path / NASTY.replace("\udc80", ""), console)
    reporter = make_reporter(console)
    reporter.say(NASTY)
    with reporter.phase(NASTY, NASTY, 2) as phase:
        phase.note(NASTY)
    shown = console.file.getvalue()
    assert "\\x1b[2Jb" in shown
    for bad in ("\x1b[2J", "\x07", "\x9b", "\u202e", "\u2066", "\x08", "\x7f"):
        assert bad not in shown
