"""A PostgreSQL server of one's own, from the packages of the system, for as long as the tests."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

PASSWORD = "s3cret"


@pytest.fixture(scope="session")
def postgresql():
    """The URL of an empty database, its password in it."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("its driver is not installed: pip install 'ncd_jax[postgres]'")
    folder = Path(tempfile.mkdtemp(prefix="ncd_jax-postgres-"))
    user = _somebody() if os.getuid() == 0 else None  # it refuses to be run by root
    if user is not None:
        os.chown(folder, user, -1)
    password = folder / "password"
    password.write_text(PASSWORD)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(program, *arguments):
        command = [str(programs / program), "-D", str(folder / "data"), *arguments]
        subprocess.run(
            command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=60
        )

    settings = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
    try:
        call("initdb", "-U", "ncd", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync")
        call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", settings, "start")
        try:
            yield f"postgresql://ncd:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _programs():
    """The folder of `initdb` and `pg_ctl`, which Debian has on nobody's path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


def _somebody():
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_uid
        except KeyError:
            pass
    pytest.skip("PostgreSQL refuses to be run by root, and there is nobody else")
