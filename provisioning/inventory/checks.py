"""Is the list of sites right? Each doubt is one line with its row; a name decides nothing."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agent.errors import UsageMistake
from agent.language import _
from provisioning.inventory.register import CODE, Register, Village, plain
from provisioning.inventory.sites import Finding, ListUnusable, Site, read_sites, value_findings

MOST_HINTS = 50
"""Names like a wrong one are looked for in so many rows: it takes some milliseconds each."""

RESERVED = ("sinyal-", "ca")
"""Ids that begin with the first belong to the probes of `broker check`; the other is the authority's file."""


def check_sites(file: Path, register: Register) -> tuple[list[Site], list[Finding]]:
    """Return the sites of a list and everything found in it, by row; raises UsageMistake, TableUnreadable."""
    sites, findings = read_sites(file)
    return sites, sorted([*findings, *findings_of(sites, register)])


def findings_of(sites: Sequence[Site], register: Register) -> list[Finding]:
    """Return everything found in a list."""
    found = [finding for site in sites for finding in value_findings(site)]
    for find in (_codes, _editions, _doubles, _look_alikes):
        found += find(sites, register)
    return found


def require_good(file: Path, register: Register) -> list[Site]:
    """Return the sites of a list without mistakes; raises ListUnusable that names the first one."""
    sites, findings = check_sites(file, register)
    mistakes = [finding for finding in findings if finding.is_mistake]
    if mistakes:
        raise ListUnusable(
            _("{file}, row {n}: {what}").format(file=file, n=mistakes[0].row, what=mistakes[0].what),
            _("see everything that is to correct: sinyal-provision inventory check {file}").format(file=file),
        )
    return list(sites)


def site_of(sites: Sequence[Site], wanted: str) -> Site:
    """Return the site with a gateway_id, or the only one in a village by its code; raises UsageMistake."""
    found = [site for site in sites if wanted in (site.gateway_id, site.kode_desa)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageMistake(
            _("{wanted} has more than one gateway: {ids}").format(
                wanted=wanted, ids=", ".join(site.gateway_id for site in found)
            ),
            _("name one of them"),
        )
    raise UsageMistake(
        _("{wanted} is in no row of the list").format(wanted=wanted),
        _("name a gateway_id or a village code: sinyal-provision inventory show"),
    )


def _codes(sites: Sequence[Site], register: Register) -> Iterator[Finding]:
    hints = MOST_HINTS
    for site in sites:
        village = register.village(site.kode_desa)
        if village is not None:
            if site.site_name and plain(village.name) not in plain(site.site_name):
                yield _name_differs(site, village, register if hints > 0 else None)
                hints -= 1
            continue
        yield _no_village(site, register, with_hint=hints > 0)
        hints -= 1


def _no_village(site: Site, register: Register, *, with_hint: bool) -> Finding:
    old = register.retired(site.kode_desa)
    if old is not None:
        return Finding(
            site.row,
            "retired_code",
            _("the code {code} was retired; edition {edition} had {village} there").format(
                code=site.kode_desa, edition=old.edition, village=old.name
            ),
        )
    if not site.kode_desa:
        what = _("kode_desa is empty")
    elif not CODE.fullmatch(site.kode_desa):
        what = _("kode_desa {code!r} is no code like 15.02.01.2001").format(code=site.kode_desa[:30])
    elif site.kode_desa[:2] not in register.edition_of_province:
        what = _("there is no register of province {province}: load it with --register").format(
            province=site.kode_desa[:2]
        )
    else:
        what = _("the code {code} is in no edition of the register").format(code=site.kode_desa)
    return Finding(site.row, "unknown_code", what + (_hint(site, register) if with_hint else ""))


def _name_differs(site: Site, village: Village, register: Register | None) -> Finding:
    what = _("the code is that of {village}, but the site is called {name!r}").format(
        village=village.described(), name=site.site_name[:60]
    )
    return Finding(site.row, "name_differs", what + (_hint(site, register) if register else ""))


def _hint(site: Site, register: Register) -> str:
    alike = register.names_like(site.site_name)
    if not alike:
        return _("; no village of the register has a name like it")
    return _("; names like it, to be confirmed on the spot: {villages}").format(
        villages=", ".join(village.described() for village in alike)
    )


def _editions(sites: Sequence[Site], register: Register) -> Iterator[Finding]:
    for site in sites:
        edition = register.edition_of_province.get(site.kode_desa[:2])
        if edition and site.kode_edisi and site.kode_edisi != edition:
            yield Finding(
                site.row,
                "edition",
                _("kode_edisi is {found}, the register is of {edition}").format(
                    found=site.kode_edisi[:60], edition=edition
                ),
            )


def _doubles(sites: Sequence[Site], _register: Register) -> Iterator[Finding]:
    yield from _doubled(
        sites,
        lambda site: site.gateway_id.casefold(),
        lambda site, first: Finding(
            site.row,
            "double_id",
            _("gateway_id {id} stands in row {n} already").format(id=site.gateway_id, n=first.row),
        ),
    )
    active = [site for site in sites if site.state != "retired" and CODE.fullmatch(site.kode_desa)]
    yield from _doubled(
        active,
        lambda site: f"{site.kode_desa} {site.role} {plain(site.site_name)}",
        lambda site, first: Finding(
            site.row, "double_site", _("the same site as in row {n}").format(n=first.row)
        ),
    )
    yield from _doubled(
        [site for site in active if site.role == "link"],
        lambda site: site.kode_desa,
        lambda site, first: Finding(
            site.row,
            "second_link",
            _("a second gateway for the village in row {n}: is it meant?").format(n=first.row),
            is_mistake=False,
        ),
    )
    for site in sites:
        name = site.gateway_id.casefold()
        if name.startswith(RESERVED[0]) or name == RESERVED[1]:
            what = _("gateway_id {id} is kept for Sinyal itself").format(id=site.gateway_id)
            yield Finding(site.row, "reserved", what)


def _doubled(
    sites: Sequence[Site], key: Callable[[Site], str], finding: Callable[[Site, Site], Finding]
) -> Iterator[Finding]:
    first_with: dict[str, Site] = {}
    for site in sites:
        first = first_with.setdefault(key(site), site)
        if first is not site and key(site):
            yield finding(site, first)


def _look_alikes(sites: Sequence[Site], register: Register) -> Iterator[Finding]:
    told: dict[str, str] = {}
    for site in sites:
        village = register.village(site.kode_desa)
        if village is None or site.state != "planned":
            # What is installed was confirmed on the spot.
            continue
        if village.kode_desa not in told:
            alike = register.look_alikes(village)
            told[village.kode_desa] = ", ".join(each.described() for each in alike)
        if told[village.kode_desa]:
            yield Finding(
                site.row,
                "look_alike",
                _("{village} is easily taken for {others}: confirm the code on the spot").format(
                    village=village.described(), others=told[village.kode_desa]
                ),
                is_mistake=False,
            )
