"""The language models of the tests: a tiny random one, and the real one where it can be had."""

import pytest

from lib.data import DataUnavailable
from lib.language.backbone import load_backbone, tiny_backbone


@pytest.fixture(scope="session")
def backbone():
    """The tiny model, frozen; whoever changes weights copies it first."""
    return tiny_backbone()


@pytest.fixture(scope="session")
def real_backbone():
    """SmolLM2-135M: half a gigabyte, fetched and de-quantised on first use. Mark its tests `slow` and xdist_group("smollm2")."""
    try:
        return load_backbone("smollm2-135m")
    except DataUnavailable as error:
        pytest.skip(f"THE REAL MODEL IS NOT TESTED: {error}")
