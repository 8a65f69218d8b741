"""The "Berita Acara Uji Terima": the measured facts of an acceptance on one A4 page, ready to be signed.

It is an Indonesian document whatever the language of the screen. What was not measured stays open, with room
to write; nothing on it is a guess. The page needs no network: no font, picture or script from elsewhere.
"""

import html
import time
from collections.abc import Iterable, Mapping
from typing import Any

from agent.acceptance.record import Record

OPEN = "<span class=open></span>"
"""A line to write on by hand."""

SIGNERS = ("Pelaksana", "Pemerintah desa", "Diskominfo")

NOT_MEASURED = "<i>belum diukur</i>"

_MONTHS = (
    *("Januari", "Februari", "Maret", "April", "Mei", "Juni", "Juli"),
    *("Agustus", "September", "Oktober", "November", "Desember"),
)
_DAYS = ("Senin", "Selasa", "Rabu", "Kamis", "Jumat", "Sabtu", "Minggu")
_CLASSES = {
    "excellent": "sangat baik", "good": "baik", "fair": "cukup", "poor": "buruk",
    "very_poor": "sangat buruk", "none": "tanpa layanan",
}  # fmt: skip
_CAUSES = {
    "power": "listrik padam", "gateway": "gerbang dimatikan atau memulai ulang", "unknown": "belum diketahui",
}  # fmt: skip
_LEVELS = {"rsrp_dbm": "RSRP", "rscp_dbm": "RSCP", "rssi_dbm": "RSSI"}
_TECHNOLOGIES = {
    "lte": "4G LTE",
    "nr5g-nsa": "5G NSA",
    "nr5g-sa": "5G SA",
    "umts": "3G",
    "hspa": "3G",
    "edge": "2G",
}

_WIB_S = 7 * 3600

STYLE = """
@page { size: A4; margin: 16mm 18mm }
body { font: 10.5pt/1.35 "Liberation Serif", "Noto Serif", serif }
body { color: #000; margin: 0 auto; max-width: 174mm }
h1 { font-size: 14pt; text-align: center; margin: 0; letter-spacing: .04em }
h1 + p { text-align: center; margin: 0 0 4mm }
h2 { font-size: 11pt; margin: 3.5mm 0 1mm; border-bottom: .3mm solid #000 }
table { width: 100%; border-collapse: collapse }
th, td { text-align: left; vertical-align: top; padding: .5mm 2mm .5mm 0; font-weight: normal }
th { width: 60mm }
.list { width: 99.5% }
.list td, .list th { border: .2mm solid #777; padding: .7mm 2mm; width: auto }
.open { display: inline-block; min-width: 55mm; border-bottom: .2mm dotted #000; height: 1em }
.signs td { width: 33%; padding-top: 3mm; text-align: center }
.signs .room { display: block; height: 16mm }
.signs .open { min-width: 44mm }
p { margin: 1mm 0 } small { font-size: 8.5pt }
"""


def minutes_page(record: Record, *, version: str, made_ts: float) -> str:
    """Return the page as HTML; made_ts is when it is made (UTC seconds)."""
    gateway = record.gateway
    parts = {part: record.finding(part) for part in ("signal", "throughput", "broker", "power", "reboot")}
    day = record.started_ts or made_ts
    rows = [
        ("Kode desa", gateway.get("kode_desa")),
        ("Edisi kode wilayah", gateway.get("kode_edisi")),
        ("Nama lokasi", gateway.get("site_name")),
        ("Nomor gerbang", gateway.get("id")),
        ("Peran", {"link": "sambungan internet desa", "repeater-monitor": "pemantau penguat sinyal"}.get(
            str(gateway.get("role")), gateway.get("role"))),
        ("Pelaksana uji", record.installer),
    ]  # fmt: skip
    body = [
        "<h1>BERITA ACARA UJI TERIMA</h1>",
        f"<p>Gerbang internet desa &middot; Nomor: {OPEN}</p>",
        f"<p>Pada hari {_day(day)}, telah dilakukan uji terima gerbang internet desa berikut ini.</p>",
        _table((name, _text(value)) for name, value in rows),
        "<h2>Hasil pengukuran</h2>",
        _table(_facts(parts)),
        "<h2>Uji kecepatan</h2>",
        _throughput(parts["throughput"]),
        "<h2>Diisi di tempat</h2>",
        _table((name, OPEN) for name in (
            "Foto antena (nama berkas)", "Foto pembumian (nama berkas)", "Foto catu daya cadangan", "Catatan",
        )),
        "<p>Keputusan: &#9744; diterima &emsp; &#9744; diterima dengan catatan &emsp; &#9744; diulang</p>",
        "<table class=signs><tr>"
        + "".join(f"<td>{who}<span class=room></span>({OPEN})</td>" for who in SIGNERS)
        + "</tr></table>",
        f"<p><small>Angka berasal dari pengukuran gerbang sendiri (Sinyal {_text(version)}),"
        f" dicetak {_when(made_ts)}."
        " Yang belum diukur dibiarkan terbuka.</small></p>",
    ]  # fmt: skip
    title = f"Berita Acara Uji Terima {gateway.get('id') or ''}".strip()
    return (
        f'<!DOCTYPE html>\n<html lang="id"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _facts(parts: Mapping[str, Mapping[str, Any] | None]) -> Iterable[tuple[str, str]]:
    yield "Sinyal", _signal(parts["signal"])
    yield "Diterima pusat", _broker(parts["broker"])
    yield "Uji cabut steker", _power(parts["power"])
    yield "Uji nyala ulang", _reboot(parts["reboot"])


def _signal(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOT_MEASURED
    told = f"selama {_span(found['seconds'])}, {_number(found['readings'])} bacaan"
    if found["median_dbm"] is None:
        return f"tidak ada nilai sinyal ({told})"
    level = (
        f"<b>median {_LEVELS[found['field']]} {_number(found['median_dbm'])} dBm</b>"
        f" ({_number(found['lowest_dbm'])} s.d. {_number(found['highest_dbm'])})"
    )
    if found.get("median_sinr_db") is not None:
        level += f", SINR {_number(found['median_sinr_db'], 1)} dB"
    network = " ".join(
        _text(each)
        for each in (
            found.get("operator_name"),
            _TECHNOLOGIES.get(str(found.get("access_technology")), found.get("access_technology")),
            found.get("band"),
        )
        if each
    )
    rest = [
        told,
        network,
        f"kelas {_CLASSES[found['signal_class']]}" if found.get("signal_class") in _CLASSES else "",
    ]
    if found["readings_without"]:
        rest.append(f"{_number(found['readings_without'])} bacaan tanpa nilai")
    return f"{level}<br>{'; '.join(each for each in rest if each)}"


def _broker(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOT_MEASURED
    if not found["acknowledged_ts"]:
        return "<b>tidak</b>: pusat belum mengakui satu bacaan pun" + _because(found.get("problem"))
    return (
        f"<b>ya</b>, {_number(found['rows'])} bacaan diakui, terakhir {_when(found['acknowledged_ts'])};"
        f" {_number(found['waiting'])} menunggu"
    )


def _power(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOT_MEASURED
    if found.get("on_battery_s") is not None:
        away = _span(found["on_battery_s"])
        return f"listrik padam {away}, <b>gerbang tetap menyala</b> dengan baterai; {_lost(found)}"
    if not found["has_gone_off"]:
        return "gerbang tidak padam (baterai, atau steker tidak dicabut)"
    cause = found["cause"]
    if cause is None:
        told = "pemadaman <b>tidak tercatat</b>"
    else:
        guessed = " (disimpulkan)" if found["inferred"] else ""
        told = f"tercatat sebagai <b>{_CAUSES.get(cause, _text(cause))}</b>{guessed}"
        if found["duration_s"] is not None:
            told += f", {_span(found['duration_s'])}"
    return f"{told}; {_lost(found)}"


def _reboot(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOT_MEASURED
    if not found["has_rebooted"]:
        return "gerbang tidak menyala ulang"
    first = found["first_reading_uptime_s"]
    told = "<b>menyala ulang</b>"
    if first is not None:
        told += f", bacaan pertama {_span(first)} setelah menyala"
    return f"{told}; {_lost(found)}"


def _lost(found: Mapping[str, Any]) -> str:
    if found["rows_lost"]:
        return f"<b>{_number(found['rows_lost'])}</b> dari {_number(found['rows_before'])} bacaan hilang"
    return f"tidak ada yang hilang dari {_number(found['rows_before'])} bacaan"


def _throughput(found: Mapping[str, Any] | None) -> str:
    runs = list((found or {}).get("runs") or ())
    if not runs:
        return f"<p>{NOT_MEASURED}{_because((found or {}).get('problem'))}</p>"
    columns = ("Ke", "Jam", "Unduh", "Unggah", "Waktu tempuh", "Data terpakai")
    head = f"<tr>{''.join(f'<th>{name}</th>' for name in columns)}</tr>"
    lines = [
        f"<tr><td>{at}</td><td>{_clock(run['ts'])}</td>"
        + (
            f"<td>{_rate(run['down_kbit_s'])}</td><td>{_rate(run['up_kbit_s'])}</td>"
            f"<td>{_number(run['rtt_ms'])} ms</td><td>{_number(run['bytes'] / 1e6, 1)} MB</td></tr>"
            if run["state"] == "done"
            else f"<td colspan=4>gagal{_because(run.get('reason'))}</td></tr>"
        )
        for at, run in enumerate(runs, 1)
    ]
    lines += [f"<tr><td>{at}</td><td colspan=5>{NOT_MEASURED}</td></tr>" for at in range(len(runs) + 1, 4)]
    return f"<table class=list>{head}{''.join(lines)}</table>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        "<table>" + "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows) + "</table>"
    )


def _because(why: object) -> str:
    return f" ({_text(why)})" if why else ""


def _text(value: object) -> str:
    return html.escape(str(value)) if value not in (None, "") else OPEN


def _number(value: float | None, decimals: int = 0) -> str:
    if value is None:
        return "-"
    whole = f"{value:,.{decimals}f}"
    return whole.translate(str.maketrans(",.", ".,")).replace("-", "\N{MINUS SIGN}")


def _rate(kbit_s: float | None) -> str:
    if kbit_s is None:
        return "-"
    return f"{_number(kbit_s / 1000, 1)} Mbit/s" if kbit_s >= 1000 else f"{_number(kbit_s)} kbit/s"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{_number(seconds)} detik"
    return f"{_number(seconds / 60)} menit" if seconds < 7200 else f"{_number(seconds / 3600, 1)} jam"


def _parts(ts: float) -> time.struct_time:
    return time.gmtime(ts + _WIB_S)


def _day(ts: float) -> str:
    at = _parts(ts)
    return f"{_DAYS[at.tm_wday]}, {at.tm_mday} {_MONTHS[at.tm_mon - 1]} {at.tm_year}"


def _when(ts: float) -> str:
    at = _parts(ts)
    return f"{at.tm_mday} {_MONTHS[at.tm_mon - 1]} {at.tm_year} pukul {at.tm_hour:02d}.{at.tm_min:02d} WIB"


def _clock(ts: float) -> str:
    at = _parts(ts)
    return f"{at.tm_hour:02d}.{at.tm_min:02d}"
