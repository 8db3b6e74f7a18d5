"""Edgeward beside its peers, in one run, alternating: `make bench`. Ratios carry, absolute figures do not."""
