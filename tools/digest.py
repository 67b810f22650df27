"""One fingerprint for what a person wrote in a notebook, whatever its outputs are."""

import hashlib
import json
from typing import Any


def sources_digest(notebook: dict[str, Any]) -> str:
    """Fingerprint of a notebook's cells: type, source and tags, in order; outputs and counts left out.

    Uses the standard library alone, so that `make lab` need not wait for nbformat.

    Args:
        notebook: a notebook as `json.load` gives it (nbformat 4).

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    cells = [
        (cell["cell_type"], "".join(cell["source"]), sorted(cell.get("metadata", {}).get("tags", [])))
        for cell in notebook["cells"]
    ]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()
