"""`python -m lib.data`: one line for each dataset and model, where it is and from which source; fetches nothing."""

from lib.data.entries import catalogue
from lib.data.loading import status
from lib.data.models import MODELS, model_status
from lib.data.whole import cache_root


def main() -> None:
    """Print the table that `studies doctor` shows."""
    print(f"  cache: {cache_root()}")
    for found in [*(status(entry.name) for entry in catalogue()), *map(model_status, MODELS)]:
        mark = "present" if found.present else "absent "
        print(f"  {found.name:15} {mark} {found.size_mb:8.1f} MB  {found.where} ({found.source})")
        if found.note:
            print(f"  {'':15} {found.note}")


if __name__ == "__main__":
    main()
