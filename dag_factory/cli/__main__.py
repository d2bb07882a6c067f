"""`python -m dag_factory.cli`."""

import sys

from dag_factory.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
