"""Settings of the whole suite."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The gate tries the same few examples every time; CSF_HYPOTHESIS=explore draws new ones, CSF_EXAMPLES of them a test.
settings.register_profile("gate", derandomize=True, deadline=None, max_examples=25)
settings.register_profile(
    "explore", deadline=None, max_examples=int(os.environ.get("CSF_EXAMPLES", "1000")), print_blob=True
)
settings.load_profile(os.environ.get("CSF_HYPOTHESIS", "gate"))


def pytest_collection_finish() -> None:
    """Let the collector pass over what was imported: it lives to the end, and would be looked through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def nothing_left_open() -> Iterator[None]:
    """Collect what a file of tests leaves, so that a socket or file that is still open fails that file and not another."""
    yield
    gc.collect()
