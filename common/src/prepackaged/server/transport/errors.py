"""What a transport answers by itself, in the form of whichever protocol was spoken to."""


class TransportError(Exception):
    """A transport refuses or gives up a request; protocols say so in their own form.

    `status` is HTTP's. `headers` are those that the response needs.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def deadline_exceeded(seconds: float, whose: str) -> TransportError:
    """The error of a request without an answer in time; `whose` names the limit."""
    return TransportError(504, f"no answer within {seconds:g} s, {whose}")
