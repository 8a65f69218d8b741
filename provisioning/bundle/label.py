"""The label of a gateway: one printable A4 page with a QR code, a short code and the place. No secrets."""

import hashlib
import html
import io
from dataclasses import dataclass

import segno

from provisioning.inventory.sites import Site

SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32 (crockford.com/base32.html): no I, L, O, U, which are misread."""

CODE_SIGNS = 8


def label_code(gateway_id: str) -> str:
    """Return the short code of a gateway, such as "7K2M-9QXA": always the same for the same id."""
    number = int.from_bytes(hashlib.sha256(b"sinyal label 1 " + gateway_id.encode()).digest()[:5], "big")
    signs = ""
    for _place in range(CODE_SIGNS):
        number, sign = divmod(number, 32)
        signs = SIGNS[sign] + signs
    return f"{signs[:4]}-{signs[4:]}"


@dataclass(frozen=True)
class Place:
    """Where the gateway stands, by the register."""

    village: str
    kecamatan: str
    kabupaten: str


def label_page(site: Site, place: Place, authority_fingerprint: str) -> bytes:
    """Return the page as HTML that needs nothing else; authority_fingerprint as people compare it."""
    code = label_code(site.gateway_id)
    drawing = io.BytesIO()
    segno.make(f"SINYAL1 {site.gateway_id} {site.kode_desa} {code}", error="m", micro=False).save(
        drawing, kind="svg", border=2, xmldecl=False, svgns=True, scale=1, omitsize=True
    )
    rows = (
        ("Gerbang / gateway", site.gateway_id),
        ("Desa / village", f"{place.village} · {site.kode_desa}"),
        ("Kecamatan, kabupaten", f"{place.kecamatan}, {place.kabupaten}"),
        ("Lokasi / site", site.site_name),
        ("Edisi kode / code edition", site.kode_edisi),
        ("Tugas / role", site.role),
        ("Otoritas / authority", authority_fingerprint[:19]),
    )
    table = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>\n" for name, text in rows
    )
    return _PAGE.format(
        id=html.escape(site.gateway_id), code=code, svg=drawing.getvalue().decode(), table=table
    ).encode()


_PAGE = """\
<!doctype html>
<html lang="id">
<meta charset="utf-8">
<title>Sinyal {id}</title>
<style>
@page {{ size: A4; margin: 15mm; }}
body {{ font: 14pt sans-serif; color: #000; background: #fff; max-width: 180mm; margin: 0 auto; }}
svg {{ width: 70mm; height: 70mm; display: block; }}
.code {{ font: bold 34pt monospace; letter-spacing: 2pt; }}
table {{ border-collapse: collapse; width: 100%; margin: 8mm 0; }}
th, td {{ border: 0.3mm solid #000; padding: 2mm 3mm; text-align: left; }}
th {{ width: 40%; font-weight: normal; }}
.line {{ border-bottom: 0.3mm solid #000; height: 12mm; }}
</style>
<h1>Sinyal</h1>
{svg}
<p class="code">{code}</p>
<table>
{table}</table>
<p>Tempel di dalam kotak. Tidak ada rahasia di lembar ini.<br>
Stick it inside the box. Nothing on it is secret.</p>
<p>Dipasang oleh, tanggal / installed by, date:</p>
<p class="line"></p>
</html>
"""
