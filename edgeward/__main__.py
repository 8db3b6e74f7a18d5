"""`python -m edgeward`."""

from edgeward.cli import main

main()
