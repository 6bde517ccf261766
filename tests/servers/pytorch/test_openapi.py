"""Requests made of the OpenAPI document are answered as it says.

No error of the server's, and no status, type or method that the document does not have.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from fuzzing import findings
from serving import Server
from torch import nn
from torch_nets import Cifar, Mixed, Tokens


@pytest.mark.parametrize("net", [Tokens, Cifar, Mixed])
def test_of_tokens_images_and_several_tensors(
    net: type[nn.Module],
    saved: Callable[..., nn.Module],
    tmp_path: Path,
    server_on: Callable[..., Server],
) -> None:
    """Each is a file of weights beside its source."""
    saved(net)
    assert findings(server_on(tmp_path).url, tmp_path) == ""
