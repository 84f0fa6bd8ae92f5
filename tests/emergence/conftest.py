"""Real English text that every Python ships, for tests that need some."""

from pydoc_data.topics import topics

import pytest

from lib.emergence.questions import corpus_of


@pytest.fixture(scope="session")
def corpus():
    """Python's own reference, as running text."""
    return corpus_of([line for name in sorted(topics) for line in topics[name].splitlines()])
