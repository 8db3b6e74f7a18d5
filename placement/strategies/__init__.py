"""One short file a strategy: its rule, its source, and what theory says of it."""
