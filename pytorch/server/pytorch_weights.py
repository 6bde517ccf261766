"""Find the weights in a file, and load them into a module."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from prepackaged import DeploymentError

logger = logging.getLogger(__name__)

Weights = Mapping[str, Any]
# Where training scripts put the weights in a checkpoint; where several fit, the first is taken.
USUAL_KEYS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params",
)  # fmt: skip
# Fractions that are no weights, though nothing in a file says so: counters of profilers, statistics
# that a layer no longer keeps, tables that a layer computes itself.
BUFFERS = re.compile(
    r"(^|[._])(total_ops|total_params|running_mean|running_var|inv_freq|mask|masked_bias|pe)$"
)
COMPILED = "_orig_mod."  # what torch.compile puts into names


def fill(
    module: nn.Module, content: Weights, path: Path, owner: str, *, strict: bool | None
) -> None:
    """Give a module the weights that a file holds, as they are or in an entry of a checkpoint.

    Missing weights and weights too many raise `DeploymentError`; buffers too many, and counters
    that are missing, are told in the log. With `strict` all of these raise, where it is False none.
    """
    own = module.state_dict()
    key, weights = _fitting(content, own, path)
    where = f"the entry {key!r} of model file {path}" if key else f"model file {path}"
    try:
        keys = module.load_state_dict(weights, strict=False)
    except Exception as error:  # a weight of another shape, which the message names
        told = " ".join(str(error).split())[:500]
        raise DeploymentError(f"{where} does not fit {owner}: {told}") from error
    filled = {own[name].data_ptr() for name in own if name in weights}
    # Tied weights are saved under one of their names by safetensors.
    missing = [name for name in keys.missing_keys if own[name].data_ptr() not in filled]
    wrong = {"missing": missing, "unexpected": keys.unexpected_keys}
    minor = {
        "missing": [name for name in missing if not own[name].is_floating_point()],
        "unexpected": [name for name in keys.unexpected_keys if _is_buffer(name, weights[name])],
    }
    _tell(f"{where} does not fit {owner}", wrong, minor, strict=strict)


def _tell(
    what: str, wrong: dict[str, list[str]], minor: dict[str, list[str]], *, strict: bool | None
) -> None:  # fmt: skip
    ignored = {None: minor, True: {}, False: wrong}[strict]
    severe = {kind: [n for n in names if n not in ignored.get(kind, ())]
              for kind, names in wrong.items()}  # fmt: skip
    if told := _told(severe):
        hint = "" if strict else "; the parameter strict set to false lets it start nevertheless"
        raise DeploymentError(f"{what}: weights are {told}{hint}")
    if told := _told(ignored):
        logger.warning("%s, ignored: %s", what, told)


def _told(names: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{what}: {_enumerated(each)}" for what, each in names.items() if each)


def _is_buffer(name: str, value: Any) -> bool:
    """Whether a superfluous entry is certainly not a weight."""
    is_tensor = isinstance(value, Tensor)
    return not is_tensor or not value.is_floating_point() or bool(BUFFERS.search(name))


def _fitting(content: Weights, own: Mapping[str, Tensor], path: Path) -> tuple[str, Weights]:
    """The key and the weights, under the module's names, of the entry that fits it best.

    Raises `DeploymentError` where several of unusual names fit as well.
    """
    found = [(key, _renamed(entry, list(own))) for key, entry in _entries(content)]
    most = max(sum(name in entry for name in own) for _, entry in found)
    best = [(key, each) for key, each in found if sum(name in each for name in own) == most]
    usual = [each for word in ("", *USUAL_KEYS) for each in best if each[0] == word]
    if not usual and len(best) > 1 and most:
        keys = ", ".join(key for key, _ in best)
        raise DeploymentError(
            f"model file {path} has {len(best)} entries that fit: {keys}. Save the one that is"
            " meant as 'state_dict'"
        )
    return (usual or best)[0]


def _entries(content: Weights, prefix: str = "") -> Iterator[tuple[str, Weights]]:
    """The file's content, and the dicts of tensors that are entries of it, by their keys."""
    if not prefix:
        yield "", content
    for key, value in content.items():
        if isinstance(value, Mapping) and len(prefix.split(".")) <= 2:
            name = f"{prefix}{key}"
            if any(isinstance(each, Tensor) for each in value.values()):
                yield name, value
            yield from _entries(value, f"{name}.")


def _renamed(weights: Weights, names: list[str]) -> Weights:
    """The weights under the module's own names.

    DataParallel, torch.compile and LightningModules that wrap the module put a prefix before
    them, and may have weights beside the module's.
    """
    plain = {str(key).replace(COMPILED, ""): value for key, value in weights.items()}
    found = [_without_prefix(each, names) for each in (weights, plain)]
    return max(found, key=lambda each: sum(name in each for name in names))


def _without_prefix(weights: Weights, names: list[str]) -> Weights:
    prefix = _prefix(weights, names)
    if not prefix:
        return weights
    return {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }


def _prefix(weights: Weights, names: list[str]) -> str:
    """What stands before most of the names; nothing where as many are there without it."""
    samples = names[:: max(1, len(names) // 5)]
    prefixes = dict.fromkeys(
        key.removesuffix(name)
        for name in samples
        for key in map(str, weights)
        if key.endswith(f".{name}")
    )
    counts = {each: sum(each + name in weights for name in names) for each in ("", *prefixes)}
    best = max(counts, key=lambda each: counts[each], default="")
    return best if list(counts.values()).count(counts[best]) == 1 else ""


def _enumerated(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
