"""Imports scikit-learn as where there is no pandas.

scikit-learn 1.9 imports pandas if it finds it: 27 MB, and a quarter of the time that it takes
to start, for models most of which never see a DataFrame. What needs pandas imports it later.
"""

import sys

if "pandas" not in sys.modules:
    sys.modules["pandas"] = None  # type: ignore[assignment]  # as Python has it: there is none
    import sklearn  # noqa: F401

    del sys.modules["pandas"]
