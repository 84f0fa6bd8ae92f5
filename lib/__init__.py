"""Models, optimal transport and distillation code behind the notebooks, one room per idea."""

import os

__version__ = "0.1.0"

# Threads of one computation wait for each other after every step of it. GNU's OpenMP, which torch brings on Linux, lets
# them turn in a loop 300,000 times, some milliseconds, before they sleep. Where anything else wants the same core, the
# thread that is waited for cannot run meanwhile: beside three busy processes a population took 15 s instead of 0.7 s.
# The library reads this when it is loaded, so before anything imports torch.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
