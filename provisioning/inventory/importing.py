"""Taking rows of another file into the list of sites: all of them or none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from agent.language import _
from provisioning.inventory.register import CODE, Register
from provisioning.inventory.sites import Finding, Site


class Merged(NamedTuple):
    """The list after an import, and what the import would do to it."""

    sites: list[Site]
    added: list[Site]
    changed: list[Site]
    findings: list[Finding]


def with_ids(sites: Sequence[Site], register: Register, taken: Sequence[Site] = ()) -> list[Site]:
    """Give rows without gateway_id one made of their village code, and rows without edition that in force.

    The same rows give the same ids: "gw-1502062001-1", the number counting the gateways of a village.
    """
    used = {site.gateway_id.casefold() for site in (*taken, *sites)}
    known = {_place(site): site.gateway_id for site in taken}
    named = []
    for site in sites:
        gateway_id = site.gateway_id or known.get(_place(site), "")
        if not gateway_id and CODE.fullmatch(site.kode_desa):
            digits = site.kode_desa.replace(".", "")
            number = 1
            while f"gw-{digits}-{number}" in used:
                number += 1
            gateway_id = f"gw-{digits}-{number}"
            used.add(gateway_id)
        edition = site.kode_edisi or register.edition_of_province.get(site.kode_desa[:2], "")
        named.append(replace(site, gateway_id=gateway_id, kode_edisi=edition))
    return named


def _place(site: Site) -> tuple[str, str, str]:
    return site.kode_desa, site.role, site.site_name


def merge(present: Sequence[Site], coming: Sequence[Site], *, replace_rows: bool) -> Merged:
    """Return the list with the coming rows; one whose id is there with other values is a mistake.

    replace_rows: it takes the place of the present one instead. What the coming row leaves open stays as it
    is in the list, and so does the end of a gateway.
    """
    by_id = {site.gateway_id: site for site in present}
    added, changed, findings = [], [], []
    for site in coming:
        old = by_id.get(site.gateway_id)
        if old is not None:
            known = {column: getattr(old, column) for column in site.unsaid}
            site = replace(site, **known, more=tuple((dict(old.more) | dict(site.more)).items()))
        if old is None:
            added.append(site)
        elif old.state == "retired" != site.state:
            findings.append(
                Finding(
                    site.row,
                    "retired",
                    _("{id} is retired and stays so: a new box gets an id of its own").format(
                        id=site.gateway_id
                    ),
                )
            )
        elif (old.cells(), old.more) != (site.cells(), site.more):
            changed.append(site)
            if not replace_rows:
                findings.append(
                    Finding(
                        site.row,
                        "differs",
                        _("{id} is in the list with other values; --replace takes these").format(
                            id=site.gateway_id
                        ),
                    )
                )
        by_id[site.gateway_id] = site
    return Merged(list(by_id.values()), added, changed, findings)
