"""`python -m lib.data`: one line for each dataset, where it is and from which source; fetches nothing."""

from lib.data.cache import cache_root
from lib.data.entries import catalogue
from lib.data.loading import status


def main() -> None:
    """Print the table that `studies doctor` shows."""
    print(f"  cache: {cache_root()}")
    for entry in catalogue():
        found = status(entry.name)
        mark = "present" if found.present else "absent "
        print(f"  {entry.name:15} {mark} {found.size_mb:8.1f} MB  {found.where} ({found.source})")
        if found.note:
            print(f"  {'':15} {found.note}")


if __name__ == "__main__":
    main()
