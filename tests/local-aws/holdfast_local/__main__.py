"""Lets `python -m holdfast_local` run the command line."""

import sys

from holdfast_local.cli import main

sys.exit(main())
