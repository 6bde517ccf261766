"""The server answers generated requests as the OpenAPI document says.

No 5xx errors, and no status, type or method that is not in the document.
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
    """Models of tokens, images and several tensors, each a file of weights with its source."""
    saved(net)
    assert findings(server_on(tmp_path).url, tmp_path) == ""
