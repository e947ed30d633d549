"""Asks a port for Prometheus and probes, as those do."""

import json
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

ASK_S_MAX = 5
Series = tuple[str, tuple[tuple[str, str], ...]]


def ask(listen: str, path: str, accept: str = "") -> tuple[int, str, str]:
    """Status, content type and body of an answer."""
    request = urllib.request.Request(
        f"http://{listen}{path}", headers={"Accept": accept} if accept else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=ASK_S_MAX) as response:
            return response.status, response.headers["Content-Type"], response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def readiness(listen: str) -> dict[str, str]:
    """What is told about each part."""
    status, _, body = ask(listen, "/ready")
    document = json.loads(body)
    assert (status == 200) == (document["status"] == "ready")
    return document


def samples(listen: str) -> dict[Series, float]:
    """Each series with its value."""
    _, _, body = ask(listen, "/metrics")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
