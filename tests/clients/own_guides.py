"""The programs of docs/notebook.md and docs/app.md, as they stand there, in their order, against a fresh demo server.

Needs JHE_BIN, which the guides call `jhe`, JHE_DATA_DIR with its database, and bash, curl and jq.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from form_login import BASE, authorize

DOCS = Path(__file__).resolve().parents[2] / "docs"
HERE = "http://localhost:8000"


def blocks(guide: str, language: str) -> list[str]:
    """The blocks of a guide in one language, about this server."""
    text = (DOCS / guide).read_text().replace(HERE, BASE)
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found, f"{guide} has no {language}"
    return found


def shell(script: str) -> str:
    """Runs a script with the binary under its name; what it prints."""
    binary = Path(os.environ["JHE_BIN"]).resolve()
    called = f'set -euo pipefail\njhe() {{ "{binary}" "$@"; }}\n{script}'
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "JHE_BIN")}
    done = subprocess.run(["bash", "-c", called], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def notebook() -> None:
    """The notebook, whose reader signs in where it asks for the address after that."""
    for block in blocks("notebook.md", "sh"):
        assert "client_id: " in shell(block)
    shown: list[str] = []

    def tell(*values, **options) -> None:
        shown.extend(str(value) for value in values)

    def answer(_prompt: str) -> str:
        return authorize(shown[-1], "http://127.0.0.1/callback")

    names = {"print": tell, "input": answer, "__name__": "notebook"}
    for block in blocks("notebook.md", "python"):
        exec(compile(block, "docs/notebook.md", "exec"), names)  # noqa: S102
    assert len(names["frame"]) > 0 and len(names["found"]) == len(names["documents"]) > 0
    assert names["frame"]["time"].notna().all()
    assert names["invitation"]["invitationLink"].startswith("https://")
    print("  docs/notebook.md: every block ran")


def app() -> None:
    """The app, whose blocks are one script."""
    told = shell("\n".join(blocks("app.md", "sh")))
    for expected in ('["409 Conflict",', '["201 Created",', '"200 OK"', '"201 Created"', '"code":"duplicate"'):
        assert expected in told, f"{expected} is not in\n{told}"
    print("  docs/app.md: every block ran")


if __name__ == "__main__":
    notebook()
    app()
