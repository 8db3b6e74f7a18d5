"""Is the process in this container well? `healthcheck.py DATA`: exit 0, or 1 and a sentence.

A coordinator is asked for /healthz where its `address.json` says. A node has nothing to ask: what ails it, its
coordinator says.
"""

import http.client
import json
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path


def complaint(data: Path, command: list[str]) -> str | None:
    """What is wrong with the container whose first process is `command`; None when it is well."""
    if "coordinator" not in command:
        return None
    try:
        address = json.loads((data / "address.json").read_text())["http"]
    except FileNotFoundError:
        return f"the coordinator has not written {data / 'address.json'} yet"
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104  asked here, not listened on
    answer = f"{address} does not answer"
    for scheme in ("http", "https"):  # plain on loopback or behind a proxy, else TLS
        try:
            return _ask(f"{scheme}://{host}:{port}/healthz")
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            answer = f"{address} does not answer: {error}"
    return answer


def _ask(url: str) -> str | None:
    own = ssl.create_default_context()  # by our own authority, for a name that is not the one asked for from inside
    own.check_hostname = False
    own.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=2, context=own):  # noqa: S310  the scheme is ours
            return None
    except urllib.error.HTTPError as error:
        return f"{url} answers {error.code}"


if __name__ == "__main__":
    first = Path("/proc/1/cmdline").read_bytes().decode(errors="replace").split("\0")
    sys.exit(complaint(Path(sys.argv[1]), first))
