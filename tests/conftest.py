"""Settings of the whole suite."""

import os

from hypothesis import settings

# The gate tries the same few examples every time; CSF_HYPOTHESIS=explore draws new ones, CSF_EXAMPLES of them a test.
settings.register_profile("gate", derandomize=True, deadline=None, max_examples=25)
settings.register_profile(
    "explore", deadline=None, max_examples=int(os.environ.get("CSF_EXAMPLES", "1000")), print_blob=True
)
settings.load_profile(os.environ.get("CSF_HYPOTHESIS", "gate"))
