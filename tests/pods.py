"""The pods that PrimeHub's controller, Seldon's operator and KServe create around an image.

The sources are PrimeHub's ee/controllers/phdeployment_controller.go, `createContainerService` and
defaults.go of Seldon's operator 1.18.2, and KServe's pkg/utils/storage.go.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from containers import READ_ONLY
from manifests import environment_of_kserve, runtime
from serving import UPSTREAM

import images

MODELS = "/mnt/models"
HOOK = ("/bin/sh", "-c", "/bin/sleep 10")  # preStop hook of PrimeHub and Seldon
SECONDS_OF_HOOK = 10
# PrimeHub's smallest instance without its engine's share; no swap in addition.
SMALLEST = ("--cpus", "0.2", "--memory", "700m", "--memory-swap", "700m")
UPSTREAMS = {"MICROSERVICE": UPSTREAM}
# It ends on SIGTERM only without gRPC, which PrimeHub does not use.
UPSTREAMS_WITHOUT_GRPC = UPSTREAMS | {"GRPC_WORKERS": "0"}
STRICT = ("--user", "12345:54321", *READ_ONLY)
OPERATORS_USER = "8888"
MODELCARS_USER = "1010"  # KServe's user if the model is an image itself
OPENSHIFTS_USER = "1000650000:0"  # an example: no passwd entry, root's group
# The annotations as Kubernetes writes them into a file of the pod.
ANNOTATIONS = """prometheus.io/path="/prometheus"
prometheus.io/scrape="true"
seldon.io/rest-timeout="60000"
seldon.io/grpc-max-message-size="1000000"
"""


@dataclass(frozen=True)
class Pod:
    """How a platform runs an image: the engine's flags, and the seconds from SIGTERM to SIGKILL.

    Kubernetes counts the preStop hook's seconds as part of the grace period.
    """

    seconds: int
    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, int, int] = (9000, 5000, 6000)
    command: tuple[str, ...] = ()


def parameters(model_uri: str) -> str:
    """The parameters by which a platform passes a model URI."""
    return json.dumps([{"name": "model_uri", "value": model_uri, "type": "STRING"}])


def plain(model: str, *flags: str, **more: str) -> Pod:
    """A container as the README starts it with docker; `model` may be empty."""
    mounted = ("-v", f"{model}:{MODELS}:ro") if model else ()
    environment = {"PREDICTIVE_UNIT_PARAMETERS": parameters(MODELS) if model else "[]"}
    return Pod(10, (*mounted, *flags), environment | more)


def nowhere(**more: str) -> Pod:
    """A container whose model URI does not exist."""
    return Pod(10, environment={"PREDICTIVE_UNIT_PARAMETERS": parameters("/mnt/nothing")} | more)


def primehub(tag: str, model: Path | None, models: Path, **more: str) -> Pod:
    """PrimeHub's smallest pod: `/mnt/models` has a symlink for each entry of a read-only mount.

    `models` is an empty directory for the symlinks. Without a model there are no parameters.
    """
    environment = {
        "PREDICTIVE_UNIT_SERVICE_PORT": "9000",
        "PREDICTIVE_UNIT_ID": "model",
        "PREDICTIVE_UNIT_IMAGE": tag,
        "PREDICTOR_ID": "deploy",
        "SELDON_DEPLOYMENT_ID": "deploy-flowers",
    }
    mounted: tuple[str, ...] = ()
    if model:
        environment["PREDICTIVE_UNIT_PARAMETERS"] = parameters(MODELS)
        for entry in model.iterdir():
            (models / entry.name).symlink_to(f"/phfs/flowers/{entry.name}")
        mounted = ("-v", f"{model}:/phfs/flowers:ro", "-v", f"{models}:{MODELS}")
    return Pod(30 - SECONDS_OF_HOOK, (*SMALLEST, *mounted), environment | more)


def operators(
    tag: str, model: Path | None, podinfo: Path, user: str = OPERATORS_USER, **more: str
) -> Pod:
    """The pod of Seldon's operator, or of OpenShift's: the second container of a deployment.

    `podinfo` is an empty directory for the annotations. The container may use half a CPU.
    """
    (podinfo / "annotations").write_text(ANNOTATIONS)
    mounted = [f"{podinfo}:/etc/podinfo:ro", *([f"{model}:{MODELS}:ro"] if model else [])]
    volumes = (word for mount in mounted for word in ("-v", mount))
    flags = ("--user", user, "--cap-drop", "ALL", *READ_ONLY, "--cpus", "0.5", *volumes)
    http, grpc, metrics = ports = (9001, 9501, 6001)
    environment = {
        "PREDICTIVE_UNIT_PARAMETERS": parameters(MODELS) if model else "[]",
        "PREDICTIVE_UNIT_SERVICE_PORT": f"{http}",
        "PREDICTIVE_UNIT_HTTP_SERVICE_PORT": f"{http}",
        "MLSERVER_HTTP_PORT": f"{http}",
        "PREDICTIVE_UNIT_GRPC_SERVICE_PORT": f"{grpc}",
        "MLSERVER_GRPC_PORT": f"{grpc}",
        "MLSERVER_MODEL_URI": MODELS,
        "PREDICTIVE_UNIT_ID": "classifier",
        "MLSERVER_MODEL_NAME": "classifier",
        "PREDICTIVE_UNIT_IMAGE": tag,
        "PREDICTOR_ID": "main",
        "PREDICTOR_LABELS": '{"seldon-app":"flowers-main","version":"v7"}',
        "SELDON_DEPLOYMENT_ID": "flowers",
        "SELDON_EXECUTOR_ENABLED": "true",
        "PREDICTIVE_UNIT_METRICS_SERVICE_PORT": f"{metrics}",
        "PREDICTIVE_UNIT_METRICS_ENDPOINT": "/prometheus",
        "MLSERVER_METRICS_PORT": f"{metrics}",
        "MLSERVER_METRICS_ENDPOINT": "/prometheus",
    }
    return Pod(20 - SECONDS_OF_HOOK, flags, environment | more, ports)


def operators_v2(tag: str, model: Path | None, podinfo: Path) -> Pod:
    """The pod of Seldon's operator with `protocol: v2`, whose parameters do not name the model."""
    more = {
        "PREDICTIVE_UNIT_PARAMETERS": "[]",
        "MLSERVER_MODEL_VERSION": "v1",
        "MLSERVER_MODEL_IMPLEMENTATION": "",
    }
    return operators(tag, model, podinfo, **more)


def kserve(target: images.Target, model: Path | None) -> Pod:
    """The pod of an InferenceService `flowers`, with the target's runtime from deploy/kserve."""
    (container,) = runtime(target)["spec"]["containers"]
    mounted = ("-v", f"{model}:{MODELS}:ro") if model else ()
    flags = ("--user", MODELCARS_USER, "--cap-drop", "ALL", *READ_ONLY, *mounted)
    environment = environment_of_kserve(target, "flowers", MODELS)
    seconds = 30 - SECONDS_OF_HOOK
    return Pod(seconds, flags, environment, command=tuple(container["command"]))
