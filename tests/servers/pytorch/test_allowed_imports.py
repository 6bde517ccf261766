import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from serving import ROOT
from torch import nn

from prepackaged import DeploymentError
from prepackaged.pickles import imports_of

sys.path.insert(0, str(ROOT / "pytorch/server"))


class Harm:
    """An object that runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        """Return the command to pickle."""
        return os.system, (self.command,)


def test_a_module_is_served_with_a_list_of_what_it_imports(tmp_path: Path) -> None:
    """A module loads with the list of its imports, and is refused if one name is missing."""
    from Model import Model

    module = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    torch.save(module, tmp_path / "model.pt")
    names = imports_of(tmp_path / "model.pt") or set()
    model = Model(str(tmp_path), allow_pickle="true", allowed_imports=",".join(names))
    model.load()
    expected = module(torch.ones(1, 2)).detach().numpy()
    assert model.predict(model.prepare([[1.0, 1.0]])) == pytest.approx(expected)

    relu = "torch.nn.modules.activation.ReLU"
    with pytest.raises(DeploymentError, match=f"this pickle imports {relu}, which"):
        Model(str(tmp_path), allow_pickle="true", allowed_imports=",".join(names - {relu})).load()


@pytest.mark.parametrize("is_zip", [True, False])
def test_an_import_that_is_not_in_the_list_does_not_run(*, is_zip: bool, tmp_path: Path) -> None:
    """Code that is not in the list does not run, in either of PyTorch's formats."""
    from Model import Model

    marker = tmp_path / "it_has_run"
    harm = [nn.Linear(2, 1), Harm(f"touch {marker}")]
    torch.save(harm, tmp_path / "model.pt", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(DeploymentError, match="which the parameter allowed_imports does not list"):
        Model(str(tmp_path), allow_pickle="true", allowed_imports="collections.OrderedDict").load()
    assert not marker.exists()
