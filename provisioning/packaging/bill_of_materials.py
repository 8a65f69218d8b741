"""What is inside, as CycloneDX 1.6, from the lock with its hashes. Source: cyclonedx.org/docs/1.6/json."""

import json
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from provisioning.packaging.gateway_libraries import Pinned, on_a_gateway


def write_bill(target: Path, version: str, date: int) -> Path:
    """Write `sinyal-VERSION.cdx.json`; return its path."""
    ours = f"pkg:pypi/sinyal-desa@{version}"
    components = [_component(library) for library in on_a_gateway()]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # The same contents have the same number.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([ours, components]))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(date, UTC).isoformat().replace("+00:00", "Z"),
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": "sinyal-desa",
                "version": version,
                "purl": ours,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": [{"ref": ours, "dependsOn": [each["bom-ref"] for each in components]}],
    }
    bill = target / f"sinyal-{version}.cdx.json"
    bill.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return bill


def _component(library: Pinned) -> dict[str, Any]:
    purl = f"pkg:pypi/{library.name}@{library.version}"
    about = metadata.metadata(library.name).json
    licence = str(about.get("license_expression") or about.get("license") or "see its own files")
    return {
        "type": "library",
        "bom-ref": purl,
        "name": library.name,
        "version": library.version,
        "purl": purl,
        "licenses": [{"license": {"name": " ".join(licence.split())[:80]}}],
        "properties": [{"name": "sinyal:pinned-sha256", "value": each} for each in library.sha256],
    }
