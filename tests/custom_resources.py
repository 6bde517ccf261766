"""Schemas of custom resources, which Kubernetes' own schemas do not include.

Each schema has the fields that this project uses, named as in the controller's Go types, so that
misspelt fields are found. `tests/clients` checks the fields against KServe's own classes.
"""

from typing import Any

import jsonschema
import kubernetes_validate

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
PART_OF_POD: Schema = {}  # checked with Kubernetes' own schema


def fields(*required: str, **known: Schema) -> Schema:
    """The schema of an object with only these fields."""
    return {
        "type": "object",
        "properties": known,
        "required": list(required),
        "additionalProperties": False,
    }


def kind(version: str, name: str, spec: Schema) -> Schema:
    """The schema of a custom resource with this version, kind and spec."""
    metadata = fields("name", name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    return fields(
        "apiVersion", "kind", "metadata", "spec",
        apiVersion={"const": version}, kind={"const": name}, metadata=metadata, spec=spec,
    )  # fmt: skip


FORMAT = fields("name", name=TEXT, version=TEXT, autoSelect={"type": "boolean"}, priority=COUNT)
# https://github.com/kserve/kserve/blob/v0.19.0/pkg/apis/serving/v1alpha1/servingruntime_types.go
RUNTIME = kind(
    "serving.kserve.io/v1alpha1",
    "ClusterServingRuntime",
    fields(
        "containers",
        labels=TEXTS,
        annotations=TEXTS,
        supportedModelFormats={"type": "array", "items": FORMAT, "minItems": 1},
        protocolVersions={"type": "array", "items": {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]}},
        containers={"type": "array", "minItems": 1},
    ),
)
MODEL: Schema = {
    "modelFormat": fields("name", name=TEXT, version=TEXT),
    "runtime": TEXT,
    "runtimeVersion": TEXT,
    "protocolVersion": {"enum": ["v1", "v2", "grpc-v1", "grpc-v2"]},
    "storageUri": TEXT,
}
PREDICTOR: Schema = {
    "minReplicas": COUNT,
    "maxReplicas": COUNT,
    "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
    "scaleTarget": COUNT,
}
# https://github.com/kserve/kserve/blob/v0.19.0/pkg/apis/serving/v1beta1/predictor.go
INFERENCE_SERVICE = kind(
    "serving.kserve.io/v1beta1",
    "InferenceService",
    fields(
        "predictor",
        predictor=fields(
            "model",
            **PREDICTOR,
            terminationGracePeriodSeconds=PART_OF_POD,
            model=fields("modelFormat", "storageUri", **MODEL, lifecycle=PART_OF_POD),
        ),
    ),
)
# https://github.com/kedacore/keda/blob/v2.18.0/apis/keda/v1alpha1/scaledobject_types.go
SCALED_OBJECT = kind(
    "keda.sh/v1alpha1",
    "ScaledObject",
    fields(
        "scaleTargetRef", "triggers",
        scaleTargetRef=fields("name", name=TEXT, kind=TEXT, apiVersion=TEXT),
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        fallback=fields("failureThreshold", "replicas", failureThreshold=COUNT, replicas=COUNT),
        triggers={"type": "array", "minItems": 1, "items": fields(
            "type", "metadata",
            type={"const": "prometheus"},
            metadata=fields(
                "serverAddress", "query", "threshold",
                serverAddress=TEXT, query=TEXT, threshold=TEXT, activationThreshold=TEXT,
            ),
        )},
    ),
)  # fmt: skip
# https://doc.traefik.io/traefik/middlewares/http/basicauth/
MIDDLEWARE = kind(
    "traefik.io/v1alpha1",
    "Middleware",
    fields(basicAuth=fields("secret", secret=TEXT, removeHeader={"type": "boolean"})),
)
SCHEMAS = {
    schema["properties"]["kind"]["const"]: schema
    for schema in (RUNTIME, INFERENCE_SERVICE, SCALED_OBJECT, MIDDLEWARE)
}


def validate(made: dict[str, Any], version: str) -> None:
    """Raise for a field that neither the custom resource nor this Kubernetes version knows."""
    if made["kind"] in SCHEMAS:
        jsonschema.validate(made, SCHEMAS[made["kind"]])
    for each in [made] if made["kind"] not in SCHEMAS else pods_in(made):
        kubernetes_validate.validate(each, version, strict=True)


def pods_in(made: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a custom resource that Kubernetes checks, as pods."""
    spec, metadata = made["spec"], made["metadata"]
    if made["kind"] == "ClusterServingRuntime":
        metadata = {key: spec[key] for key in ("labels", "annotations")}
        return [pod(metadata, {"containers": spec["containers"]})]
    if made["kind"] == "InferenceService":
        predictor = spec["predictor"]
        container = {key: value for key, value in predictor["model"].items() if key not in MODEL}
        own = {key: value for key, value in predictor.items() if key not in {*PREDICTOR, "model"}}
        named = {"name": "kserve-container", **container}
        return [pod(metadata, own | {"containers": [named]})]
    return []


def pod(metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """A pod with this metadata and spec."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
