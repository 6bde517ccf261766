"""Errors that a transport answers itself, in the form of the request's protocol."""


class TransportError(Exception):
    """A transport refuses or aborts a request; protocols encode the error in their own form.

    `status` is an HTTP status. `headers` are added to the response.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def deadline_exceeded(seconds: float, whose: str) -> TransportError:
    """The error for a request that was not answered in time; `whose` names the limit."""
    return TransportError(504, f"no answer within {seconds:g} s, {whose}")
