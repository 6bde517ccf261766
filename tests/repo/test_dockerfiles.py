"""Every image's Dockerfile has the steps of the skeleton's."""

import re

import pytest

import images

ROOT = images.ROOT


def instructions(name: str) -> list[str]:
    """A Dockerfile's instructions, one per line, with the image's name and description replaced."""
    text = (ROOT / name / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    own_words = (rf"\b{name}\b", r'image\.description="[^"]*"')
    return [re.sub("|".join(own_words), "...", " ".join(line.split())) for line in lines]


@pytest.mark.parametrize("name", images.images())
def test_a_dockerfile_has_all_of_the_skeletons_instructions_in_order(name: str) -> None:
    """A Dockerfile has all of the skeleton's instructions in order, and may add others."""
    own = iter(instructions(name))

    missing = [line for line in instructions("skeleton") if line not in own]

    assert missing == []


def test_the_skeleton_is_built_and_run_as_decided() -> None:
    """The base image is an argument, the user is numeric, and variables form the command."""
    text = (ROOT / "skeleton/Dockerfile").read_text()

    assert "ARG BASE_IMAGE=python:3.11-slim-bookworm\n" in text
    assert text.count("FROM ${BASE_IMAGE}") == 2
    assert "\nUSER 8888\n" in text
    assert "\nEXPOSE 9000 5000 6000\n" in text
    assert text.endswith(
        "\nCMD exec $MICROSERVICE $MODEL_NAME --service-type $SERVICE_TYPE"
        " --persistence $PERSISTENCE --access-log\n"
    )


def test_what_changes_often_comes_after_what_takes_long() -> None:
    """Steps that change often come last: locked packages, shared package, Model, build labels."""
    text = (ROOT / "skeleton/Dockerfile").read_text()
    steps = [
        "builder.py environment",
        "COPY common",
        "COPY --from=builder /opt/venv /opt/venv",
        "COPY --from=package /opt/package /opt/venv",
        "COPY skeleton/server /app",
        "ARG RELEASE",
        "ARG REVISION",
    ]
    places = [text.index(step) for step in steps]

    assert places == sorted(places)


@pytest.mark.parametrize("name", images.images())
def test_every_image_runs_our_own_microservice_by_default(name: str) -> None:
    """MICROSERVICE is set once, so that `-e MICROSERVICE=...` is enough to change it."""
    text = (ROOT / name / "Dockerfile").read_text()

    assert re.findall(r"\bMICROSERVICE=(\S+)", text) == ["prepackaged-microservice"]


@pytest.mark.parametrize("name", images.images())
def test_the_summary_is_the_images_description(name: str) -> None:
    """The description label equals the summary in images.toml."""
    text = (ROOT / name / "Dockerfile").read_text()

    assert f'image.description="{images.images()[name].summary}"' in text
