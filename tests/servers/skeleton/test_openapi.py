from pathlib import Path

from fuzzing import findings
from serving import ROOT, serve


def test_requests_made_of_the_document_are_answered_as_it_says(tmp_path: Path) -> None:
    """The server answers generated requests as the OpenAPI document says, without 5xx errors."""
    with serve(ROOT / "skeleton/server") as server:
        assert findings(server.url, tmp_path) == ""
