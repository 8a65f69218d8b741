"""Working through a list: a bundle for each site, brought on its way once; a failure stops no other."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from agent.errors import SinyalError, UsageMistake
from agent.language import _
from provisioning.authority.folder import Authority
from provisioning.batch.report import Entry, Report
from provisioning.batch.transport import Transport
from provisioning.bundle.folder import Fleet, bundle_files, write_bundle
from provisioning.bundle.label import label_code
from provisioning.bundle.seal import hash_list
from provisioning.inventory.register import Register
from provisioning.inventory.sites import Site


class Progress(NamedTuple):
    """One site that was worked on: "done", "same" (nothing was left to do) or "failed", and why."""

    number: int
    site: Site
    result: str
    failure: SinyalError | None = None


def run_batch(
    sites: Sequence[Site],
    fleet: Fleet,
    register: Register,
    authority: Authority,
    *,
    out: Path,
    transport: Transport,
) -> Iterator[Progress]:
    """Yield the progress of each site; raises UsageMistake when two labels had the same code."""
    require_own_codes(sites)
    out.mkdir(parents=True, exist_ok=True)
    report = Report(out)
    for number, site in enumerate(sites, 1):
        try:
            files = bundle_files(site, fleet, register, authority)
            is_new = write_bundle(out / site.gateway_id, files, authority)
            bundle = out / site.gateway_id
            digest = _digest(bundle, site, files, transport.way)
            if (
                not is_new
                and report.is_done(site.gateway_id, digest)
                and transport.has(site.gateway_id, bundle)
            ):
                yield Progress(number, site, "same")
                continue
            transport.deliver(site.gateway_id, bundle)
        except (SinyalError, OSError) as error:
            failure = error if isinstance(error, SinyalError) else SinyalError(str(error))
            report.add(Entry(site.gateway_id, "failed", "", failure.what))
            yield Progress(number, site, "failed", failure)
            continue
        report.add(Entry(site.gateway_id, "done", digest))
        yield Progress(number, site, "done")


def _digest(folder: Path, site: Site, files: dict[str, bytes], way: str) -> str:
    """Return what changes when there is something to bring: bundle, certificate beside it, or another way."""
    certificate = folder / f"{site.gateway_id}.pem"
    beside = {certificate.name: certificate.read_bytes()} if certificate.exists() else {}
    return hashlib.sha256(hash_list({**files, **beside}) + way.encode()).hexdigest()


def require_own_codes(sites: Sequence[Site]) -> None:
    """Raise UsageMistake when two gateways would have the same code on their labels."""
    owner: dict[str, str] = {}
    for site in sites:
        other = owner.setdefault(label_code(site.gateway_id), site.gateway_id)
        if other != site.gateway_id:
            raise UsageMistake(
                _("{one} and {other} would have the same label code").format(
                    one=other, other=site.gateway_id
                ),
                _("give one of them another gateway_id"),
            )
