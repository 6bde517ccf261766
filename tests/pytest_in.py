"""Run pytest inside an image's environment, which does not have it.

    IMAGE_ENVIRONMENT/bin/python tests/pytest_in.py DEV_ENVIRONMENT [PYTEST ARGUMENTS]

The development environment is last on the path: the image's own packages win, and the
servers that tests start as processes see nothing but the image's environment.
"""

import site
import sys

site.addsitedir(f"{sys.argv[1]}/lib/python3.11/site-packages")

import pytest  # only found from here on

sys.exit(pytest.main(sys.argv[2:]))
