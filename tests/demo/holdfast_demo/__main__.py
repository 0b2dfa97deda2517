"""`python -m holdfast_demo`."""

import sys

from holdfast_demo.run import main

sys.exit(main())
