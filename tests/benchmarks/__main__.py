"""`make bench`: every benchmark beside this file, ours against the peer that a user would pick."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lib.devices import pick_device
from lib.runs.places import outputs_root
from tests.benchmarks.collector import Row, chosen, collect, noise, stored


def table(rows: list[Row]) -> Table:
    """Rows as a table: a ratio above one means that ours is faster."""
    shown = Table("benchmark", "size", "device", "ours, s", "peer", "peer, s", "peer / ours", "repeats", box=None, pad_edge=False)
    for row in rows:
        shown.add_row(
            row["name"], str(row["size"]), row["device"], f"{row['ours_s']:.4g}", row["peer"], f"{row['peer_s']:.4g}", noise(row),
            str(row["repeats"]),
        )  # fmt: skip
    return shown


def main(
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="run only this one; may be given again")] = None,
    device: Annotated[str, typer.Option(help="auto | cpu | cuda")] = "cpu",
) -> None:
    """Time ours against the peers and keep the rows in outputs/benchmarks.json."""
    console, folder, path = Console(highlight=False), Path(__file__).parent, outputs_root() / "benchmarks.json"
    try:
        where, plan = pick_device(device).type, chosen(folder, only or ())
        stored(path)
    except ValueError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        raise typer.Exit(2) from None
    console.print(f"Benchmarks on {where}: {', '.join(plan)} (minutes; keep the machine idle)")
    for _, rows in collect(folder, path, where, plan):
        console.print(table(rows))
    console.print(f"Kept in {path}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
