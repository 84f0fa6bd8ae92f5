"""What can go wrong between a dataset's name and its numbers."""


class DataUnavailable(RuntimeError):
    """No source could deliver a dataset, or the cache cannot hold it; the message lists what was tried and what helps."""


class HashMismatch(RuntimeError):
    """Something was fetched, but it is not what the catalogue pins; nothing of it reaches the cache."""


class SourceFailed(Exception):
    """One source could not deliver, for the reason in the message; the entry's next source is tried."""
