"""From files that others publish to the files of a scenario. One file for each kind of source.

Every converter takes a source and a target, writes the target whole or not at all, and returns what it did. Nothing is
filled in or smoothed: a gap stays a gap, and what cannot be read is an `InvalidConfiguration` with file and line.
"""
