import pickle

import pytest
from seldon_core.flask_utils import SeldonMicroserviceException

from prepackaged import ClientError, DeploymentError, ModelError, NotReadyError, describe
from prepackaged.errors import RequestError

ANSWERED = [
    (ClientError, 400, "MICROSERVICE_BAD_DATA"),
    (ModelError, 500, "MICROSERVICE_INTERNAL_ERROR"),
    (NotReadyError, 503, "MICROSERVICE_NOT_READY"),
]


@pytest.mark.parametrize(("kind", "status", "reason"), ANSWERED)
def test_an_error_has_the_status_and_body_of_the_contract(
    kind: type[RequestError], status: int, reason: str
) -> None:
    """Errors have the HTTP status and the body of Seldon's v1 protocol."""
    error = kind("expected 4 values")
    assert error.status_code == status
    assert error.to_dict() == {
        "status": {"status": 1, "info": "expected 4 values", "code": -1, "reason": reason}
    }


@pytest.mark.parametrize(("kind", "status", "reason"), ANSWERED)
def test_an_error_has_its_message_as_text(
    kind: type[RequestError], status: int, reason: str
) -> None:
    """In gRPC and in the log, `str(error)` is the message that HTTP clients get."""
    assert str(kind("expected 4 values")) == "expected 4 values"


@pytest.mark.parametrize(("kind", "status", "reason"), ANSWERED)
def test_an_error_is_caught_where_seldon_catches_its_own(
    kind: type[RequestError], status: int, reason: str
) -> None:
    """Errors are subclasses of the class that seldon-core's microservice converts to responses."""
    with pytest.raises(SeldonMicroserviceException, match="expected 4 values"):
        raise kind("expected 4 values")


@pytest.mark.parametrize(("kind", "status", "reason"), ANSWERED)
def test_an_error_survives_pickling(kind: type[RequestError], status: int, reason: str) -> None:
    """Errors can be pickled, for use between processes."""
    error = kind("expected 4 values")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.status_code) == (kind, "expected 4 values", status)
    assert again.to_dict() == error.to_dict()


def test_a_deployment_error_is_not_sent_to_a_client() -> None:
    """A deployment error is not converted to a response for a client."""
    assert not isinstance(DeploymentError("no model"), SeldonMicroserviceException)


def test_a_deployment_error_is_one_line() -> None:
    """A deployment error's message is always a single line."""
    assert str(DeploymentError("no model:\n  in\t/mnt\r\n")) == "no model: in /mnt"


def test_a_deployment_error_survives_pickling() -> None:
    """Deployment errors can be pickled, so that a worker can report one to its parent process."""
    again = pickle.loads(pickle.dumps(DeploymentError("no model")))
    assert (type(again), str(again)) == (DeploymentError, "no model")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("bad magic"), "ValueError: bad magic"),
        (ValueError("\n first line\nsecond"), "ValueError: first line"),
        (EOFError(), "EOFError"),
        (ValueError(" \n"), "ValueError"),
        (KeyError("a"), "KeyError: 'a'"),
    ],
)
def test_an_exception_is_described_in_one_line(error: Exception, text: str) -> None:
    """The description is the exception's type and the first line of its text."""
    assert describe(error) == text
