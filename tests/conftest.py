"""Settings of the whole suite."""

import os

from hypothesis import settings

# The gate tries the same examples every time; CSF_HYPOTHESIS=explore draws new ones, and many.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1_000, print_blob=True)
settings.load_profile(os.environ.get("CSF_HYPOTHESIS", "gate"))
