"""The child of a node that talks to Ray: `python -m node.executor SETTINGS`. `ray_executor` starts it."""

import sys

from node.executor.child import main
from node.executor.settings import Settings

if __name__ == "__main__":
    main(Settings.parse(sys.argv[1]))
