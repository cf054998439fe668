"""How a table was understood, for people at a console."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncd_jax.read.columns import TableReading

__all__ = ["print_reading"]

_REMEDIES = (
    "--numbers= --dates= --categories= --circular= --missing= --drop= --encoding= --decimal="
    " --sheet="
)


def print_reading(reading: TableReading, console: Console | None = None) -> None:
    """Prints a line for each column, and the notes, to stdout."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 160), file=console.file)
    facts = [f"{name} {value!r}" for name, value in reading.facts.items()]
    console.print(Text(", ".join(facts) or "columns with types of their own"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("column", "read as", "filled", "gaps", "remark"):
        table.add_column(title, justify="right" if title == "filled" else "left", overflow="fold")
    for each in reading.columns:
        style = "dim" if each.kind == "left out" else "bold" if each.kind == "label" else ""
        cells = (each.name, each.read_as, str(each.filled), each.gap_text(), each.remark)
        table.add_row(*map(Text, cells), style=style)
    console.print(table)
    for note in reading.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    console.print(Text(f"Read otherwise with {_REMEDIES}", style="dim"))
