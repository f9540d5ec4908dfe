"""Exchange rates."""

FALLBACK = {"EUR": 1.0, "USD": 1.08, "GBP": 0.85}


def load_table(path=None):
    """The table of a file, or the one that is built in."""
    if path is None:
        return dict(FALLBACK)
    with open(path) as lines:
        return {name: float(value) for name, value in (line.split() for line in lines)}
