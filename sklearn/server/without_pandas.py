"""Import scikit-learn as if pandas were not installed.

scikit-learn 1.9 imports pandas if it is installed. This costs 27 MB and a quarter of the start-up
time, and most models never see a DataFrame. Code that needs pandas imports it later.
"""

import sys

if "pandas" not in sys.modules:
    sys.modules["pandas"] = None  # type: ignore[assignment]  # Python's marker for a missing module
    import sklearn  # noqa: F401

    del sys.modules["pandas"]
