"""Checks the files of deploy/kserve against KServe's and Kubernetes' own classes.

Their Python clients have a class for each Go type, with the names and types of its fields. Their
own parsers ignore unknown fields.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kserve import models as kserves
from kubernetes.client import models as kubernetes
from samples import report

PLAIN = {"str": str, "int": int, "bool": bool}


def unknown(value: Any, kind: str, place: str) -> Iterator[str]:
    """Yield the parts of a value that do not fit its type."""
    if kind in {"object", "ResourceQuantity", "IntOrString", "datetime"}:
        return
    if many := re.fullmatch(r"[lL]ist\[(.*)\]", kind):
        for index, each in enumerate(value):
            yield from unknown(each, many[1], f"{place}[{index}]")
    elif pairs := re.fullmatch(r"[dD]ict[(\[]str, (.*)[)\]]", kind):
        for key, each in value.items():
            yield from unknown(each, pairs[1], f"{place}.{key}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]):
            yield f"{place}: expected {kind}, got {value!r}"
    else:
        yield from unknown_of(
            value, getattr(kserves, kind, None) or getattr(kubernetes, kind), place
        )


def unknown_of(value: dict[str, Any], model: Any, place: str) -> Iterator[str]:
    """Yield the fields of an object that its class lacks, and the problems in the others."""
    fields = {name: model.openapi_types[field] for field, name in model.attribute_map.items()}
    for name, each in value.items():
        if name not in fields:
            yield f"{place}: no {name!r} in {model.__name__}"
        else:
            yield from unknown(each, fields[name], f"{place}.{name}")


def kind_of(document: dict[str, Any]) -> str:
    """The name of an object's class."""
    version = document["apiVersion"].rpartition("/")[2]
    return f"V{version[1:]}{document['kind']}"


def problems(path: Path) -> Iterator[str]:
    """Yield all problems in a file."""
    for document in yaml.safe_load_all(path.read_text()):
        yield from unknown(document, kind_of(document), f"{path.name}: {document['kind']}")


report({"unknown": [problem for path in sys.argv[1:] for problem in problems(Path(path))]})
