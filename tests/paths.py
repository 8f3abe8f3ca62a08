"""Where tests find the shared data sets and service scripts: beside the checkout, or where CSF_SHARED says."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("CSF_SHARED", ROOT.parent / "shared"))
