"""The configuration of one gateway: its own lines, and those that the whole fleet shares."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.config.keys import RULES
from agent.config.load import build_config, parse_toml, read_text
from agent.config.toml_text import written
from agent.errors import ConfigMistake, UsageMistake
from agent.language import _
from provisioning.inventory.sites import Site

OWN_KEYS = ("id", "kode_desa", "kode_edisi", "site_name", "role")
"""What stands in [gateway] by the list of sites, and may not stand in the fleet's settings."""

TLS_LINES = {
    "tls": True,
    "ca_file": "tls/ca.pem",
    "cert_file": "tls/gateway.pem",
    "key_file": "tls/gateway.key",
}


def fleet_settings(file: Path | None) -> dict[str, dict[str, Any]]:
    """Return what all gateways share, from a TOML file of the agent's own keys; raises ConfigMistake.

    Secrets are refused: they would stand on every stick.
    """
    if file is None:
        return {}
    if not file.exists():
        raise UsageMistake(
            _("--settings {file}: there is no such file").format(file=file), _("check the path")
        )
    document = parse_toml(read_text(file), file)
    build_config(document, file, {})
    for section, keys in document.items():
        for key in keys:
            if RULES[section][key].secret:
                raise ConfigMistake(
                    _("{file}: {key} is a secret and would stand in every bundle").format(
                        file=file, key=f"{section}.{key}"
                    ),
                    _("set it on the gateway: sinyal config set {key} -").format(key=f"{section}.{key}"),
                )
            if section == "gateway" and key in OWN_KEYS:
                raise ConfigMistake(
                    _("{file}: {key} belongs to one gateway").format(file=file, key=f"{section}.{key}"),
                    _("take it out; it comes from the list of sites"),
                )
    return {section: dict(keys) for section, keys in document.items()}


def gateway_settings(site: Site, host: str, port: int, fleet: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of one gateway's sinyal.toml; raises ConfigMistake when the whole is impossible."""
    sections: dict[str, dict[str, Any]] = {section: dict(keys) for section, keys in fleet.items()}
    own = {
        "id": site.gateway_id,
        "kode_desa": site.kode_desa,
        "kode_edisi": site.kode_edisi,
        "site_name": site.site_name,
        "role": site.role,
    }
    sections["gateway"] = {**own, **sections.get("gateway", {})}
    sections["broker"] = {"host": host, "port": port, **sections.get("broker", {}), **TLS_LINES}
    lines = [
        "# Gerbang ini saja; semua kunci lain memakai nilai bawaan: sinyal config show",
        "# This gateway alone; every other key has its default: sinyal config show",
    ]
    for section in RULES:
        if sections.get(section):
            lines += ["", f"[{section}]"]
            lines += [f"{key} = {written(value)}" for key, value in sections[section].items()]
    text = "\n".join(lines) + "\n"
    file = Path("sinyal.toml")
    build_config(parse_toml(text, file), file, {})
    return text
