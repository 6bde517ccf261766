"""The messages of `inference.GRPCInferenceService`, in a private descriptor pool.

In protobuf's default pool, they would prevent a Model from importing tritonclient.grpc, whose files
define the same names. The fields are those of the Open Inference Protocol's
open_inference_grpc.proto and, of the repository's messages, Triton's grpc_service.proto.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"
FILE = "prepackaged/open_inference_grpc.proto"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
PARAMETERS = "map<InferParameter> parameters"
#: Fields as `[repeated] type name = number`; in a name with a dot, the first part is the oneof.
MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live = 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready = 1",
    "ModelReadyRequest": "string name = 1; string version = 2",
    "ModelReadyResponse": "bool ready = 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": (
        "string name = 1; string version = 2; repeated string extensions = 3"
    ),
    "ModelMetadataRequest": "string name = 1; string version = 2",
    "TensorMetadata": "string name = 1; string datatype = 2; repeated int64 shape = 3",
    "ModelMetadataResponse": (
        "string name = 1; repeated string versions = 2; string platform = 3;"
        " repeated TensorMetadata inputs = 4; repeated TensorMetadata outputs = 5"
    ),
    "InferParameter": (
        "bool parameter_choice.bool_param = 1; int64 parameter_choice.int64_param = 2;"
        " string parameter_choice.string_param = 3; double parameter_choice.double_param = 4;"
        " uint64 parameter_choice.uint64_param = 5"
    ),
    "InferTensorContents": (
        "repeated bool bool_contents = 1; repeated int32 int_contents = 2;"
        " repeated int64 int64_contents = 3; repeated uint32 uint_contents = 4;"
        " repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6;"
        " repeated double fp64_contents = 7; repeated bytes bytes_contents = 8"
    ),
    "InferTensor": (
        "string name = 1; string datatype = 2; repeated int64 shape = 3;"
        f" {PARAMETERS} = 4; InferTensorContents contents = 5"
    ),
    "InferRequestedOutput": f"string name = 1; {PARAMETERS} = 2",
    "ModelInferRequest": (
        f"string model_name = 1; string model_version = 2; string id = 3; {PARAMETERS} = 4;"
        " repeated InferTensor inputs = 5; repeated InferRequestedOutput outputs = 6;"
        " repeated bytes raw_input_contents = 7"
    ),
    "ModelInferResponse": (
        f"string model_name = 1; string model_version = 2; string id = 3; {PARAMETERS} = 4;"
        " repeated InferTensor outputs = 5; repeated bytes raw_output_contents = 6"
    ),
    "RepositoryIndexRequest": "string repository_name = 1; bool ready = 2",
    "ModelIndex": "string name = 1; string version = 2; string state = 3; string reason = 4",
    "RepositoryIndexResponse": "repeated ModelIndex models = 1",
    "RepositoryModelLoadRequest": "string repository_name = 1; string model_name = 2",
    "RepositoryModelLoadResponse": "string model_name = 1; bool isLoaded = 2",
    "RepositoryModelUnloadRequest": "string repository_name = 1; string model_name = 2",
    "RepositoryModelUnloadResponse": "string model_name = 1; bool isLoaded = 2",
}
METHODS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
)


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in filter(None, map(str.strip, fields.split(";"))):
            _add_field(message, field)
    service = file.service.add(name=SERVICE.rpartition(".")[2])
    for name in METHODS:
        types = (f".{PACKAGE}.{name}{what}" for what in ("Request", "Response"))
        service.method.add(
            name=name, **dict(zip(("input_type", "output_type"), types, strict=True))
        )
    return file


def _add_field(message: DescriptorProto, text: str) -> None:
    declared, _, number = text.partition(" = ")
    *label, kind, name = declared.split()
    choice, _, name = name.rpartition(".")
    field = message.field.add(name=name, number=int(number))
    field.label = field.LABEL_REPEATED if label else field.LABEL_OPTIONAL
    if choice:
        if not message.oneof_decl:
            message.oneof_decl.add(name=choice)
        field.oneof_index = 0
    if kind.startswith("map<"):
        field.label = field.LABEL_REPEATED
        kind = _add_entry(message, name, kind[4:-1])
    _set_type(field, kind)


def _add_entry(message: DescriptorProto, name: str, value: str) -> str:
    """Add the entry message of a map with string keys, as protoc does."""
    entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
    entry.options.map_entry = True
    _add_field(entry, "string key = 1")
    _add_field(entry, f"{value} value = 2")
    return f"{message.name}.{entry.name}"


def _set_type(field: FieldDescriptorProto, kind: str) -> None:
    scalar = f"TYPE_{kind.upper()}"
    if scalar in FieldDescriptorProto.Type.keys():  # noqa: SIM118  an enumeration's wrapper
        field.type = FieldDescriptorProto.Type.Value(scalar)
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


POOL = DescriptorPool()
POOL.Add(_file())


def _classes() -> Iterator[tuple[str, Any]]:
    for name in MESSAGES:
        yield name, GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


#: The classes of the messages, by name.
CLASSES: dict[str, Any] = dict(_classes())
