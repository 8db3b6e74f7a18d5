"""Who may come in, and what they may do: the authority, join strings, tokens, roles."""
