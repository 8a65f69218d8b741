"""Makes the village page: one file that needs nothing else, for a small phone, a sheet of A4 and no network.

No script, no picture, no font, no address to load from. What colour says is said in words as well: many
printers have only black.
"""

from html import escape

from agent import screen
from agent.language import _, current_language
from agent.page.content import Day, PageContent, Speed
from agent.page.words import advice_for, clock, hours, long_date, short_date

MOST_BYTES = 20_000

OLD_AFTER_INTERVALS = 3

_POLICY = "default-src 'none';style-src 'unsafe-inline'"

_STYLE = """
*{box-sizing:border-box}
body{margin:0 auto;padding:12px;max-width:640px;background:#fff;color:#111;
font:18px/1.4 system-ui,"Noto Sans",Roboto,Arial,sans-serif}
header{font-size:16px}h1{margin:0;font-size:22px}h2{margin:20px 0 6px;font-size:18px}p{margin:6px 0}
.state{margin:12px 0;padding:14px;border:4px solid;border-radius:10px;text-align:center}
.state b{display:block;font-size:44px;line-height:1.1;letter-spacing:1px}
.on{color:#0b5a20;background:#e6f4e9}.off{color:#9b1212;background:#fdeaea}
.unknown{color:#444;background:#f0f0f0}
.do{padding:10px 12px;border-left:6px solid #1d4f91;background:#eef3fa}
.call{padding:10px 12px;border:2px solid #111;border-radius:10px}
.call a{display:inline-block;padding:6px 0;color:#0b3d91;font-size:22px;font-weight:bold}
table{width:100%;border-collapse:collapse}th,td{padding:4px 0;text-align:left;vertical-align:middle}
th,td.h{width:1%;white-space:nowrap;font-weight:normal}th{padding-right:8px}
td.h{padding-left:8px;text-align:right}
.bar{display:flex;height:18px;border:1px solid #111;background:#fff;
-webkit-print-color-adjust:exact;print-color-adjust:exact}
.bar i{display:block;height:100%}.up{background:#1d7a36}.dn{background:#c62828}
.np{background:repeating-linear-gradient(45deg,#555 0 3px,#fff 3px 6px)}
.note{font-size:15px;color:#333}.key span{white-space:nowrap}
.key i{display:inline-block;width:14px;height:12px;border:1px solid #111}
footer{margin-top:18px;padding-top:8px;border-top:1px solid #888;font-size:15px}
@media print{@page{size:A4;margin:18mm}body{max-width:none;padding:0;font-size:14pt}
.state b{font-size:40pt}.call,.state,table{break-inside:avoid}}
"""


def _title(place: str) -> str:
    if not place:
        return _("Village internet")
    # The lists of sites write both "Air Liki" and "Desa Air Liki".
    is_named_village = place.split(" ", 1)[0].casefold() in ("desa", "kelurahan")
    text = _("Internet of {place}") if is_named_village else _("Village internet of {place}")
    return text.format(place=place)


def page_of(content: PageContent) -> str:
    """Return the page as HTML, in the language in use."""
    place = content.place
    title = _title(place)
    parts = [
        "<!doctype html>",
        f'<html lang="{current_language()}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        # An open phone shows the next state by itself.
        f'<meta http-equiv="refresh" content="{max(60, round(content.interval_s))}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<header><h1>{escape(title)}</h1>",
        f"<p>{escape(_('Village code {code}').format(code=content.kode_desa))}</p>"
        if content.kode_desa
        else "",
        "</header>",
        *_state(content),
        *_contact(content),
        *_week(content),
        *_more(content),
        *_footer(content),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _state(content: PageContent) -> list[str]:
    word = {"on": _("ON"), "off": _("OFF"), "unknown": _("NOT KNOWN")}[content.state]
    since = ""
    if content.since_ts is not None:
        text = _("since {date}, {time}")
        since = text.format(date=long_date(content.since_ts), time=clock(content.since_ts))
    advice = advice_for(
        content.state, content.cause, reports_late=content.reports_late, on_battery=content.on_battery
    )
    sentence = _(advice.sentence)
    if content.inferred and content.state == "off" and content.cause != "quota":
        sentence = f"{_('Probably:')} {sentence}"
    if content.on_battery and content.state == "off" and content.cause != "power":
        sentence = f"{sentence} {_('The power is out here as well.')}"
    return [
        f'<div class="state {content.state}">{escape(_("The internet is"))}',
        f"<b>{escape(word)}</b>{escape(since)}</div>",
        f'<p class="note">{escape(_data_time(content))}</p>',
        f"<p>{escape(sentence)}</p>",
        f'<p class="do"><b>{escape(_("What to do:"))}</b> {escape(_(advice.step))}</p>',
    ]


def _contact(content: PageContent) -> list[str]:
    name = content.contact_name or _("the village office")
    call = escape(name)
    if content.contact_phone:
        digits = "".join(sign for sign in content.contact_phone if sign.isdigit() or sign == "+")
        call += f'<br><a href="tel:{digits}">{escape(content.contact_phone)}</a>'
    return [f'<p class="call"><b>{escape(_("Whom to call:"))}</b> {call}</p>']


def _week(content: PageContent) -> list[str]:
    rows = [_day_row(day) for day in content.days]
    key = (("up", _("internet on")), ("dn", _("internet off")), ("np", _("no power")))
    keys = " &ensp; ".join(f'<span><i class="{name}"></i> {escape(word)}</span>' for name, word in key)
    return [
        f"<h2>{escape(_('How long the internet was on, last 7 days'))}</h2>",
        f"<table>{''.join(rows)}</table>",
        f'<p class="note key">{keys}</p>',
    ]


def _day_row(day: Day) -> str:
    widths = (("up", day.on_h or 0.0), ("dn", day.off_h), ("np", day.no_power_h))
    bars = "".join(
        f'<i class="{name}" style="width:{min(100.0, 100 * length / 24):.1f}%"></i>'
        for name, length in widths
        if length > 0
    )
    shown = _("no data") if day.on_h is None else hours(day.on_h)
    return (
        f'<tr><th>{escape(short_date(day.day))}</th><td><div class="bar">{bars}</div></td>'
        f'<td class="h">{escape(shown)}</td></tr>'
    )


def _more(content: PageContent) -> list[str]:
    lines = []
    if content.quota_spent:
        lines.append(_("Data package: probably used up"))
    elif content.quota is not None:
        text = _("Left of the data package: {amount} ({date})")
        amount = screen.amount(content.quota.left_bytes)
        lines.append(text.format(amount=amount, date=long_date(content.quota.ts)))
    if content.meeting is not None:
        verdict = _("enough") if content.meeting else _("not enough")
        lines.append(_("For a video meeting: {verdict}").format(verdict=verdict))
    if content.speed is not None:
        lines.append(_speed(content.speed))
    return [f"<p>{escape(line)}</p>" for line in lines]


def _speed(speed: Speed) -> str:
    rates = [
        text.format(rate=f"{screen.number(rate / 1000, 1)} Mbps")
        for text, rate in ((_("download {rate}"), speed.down_kbit_s), (_("upload {rate}"), speed.up_kbit_s))
        if rate is not None
    ]
    text = _("Last speed: {rates} ({date})")
    return text.format(rates=", ".join(rates), date=long_date(speed.ts))


def _data_time(content: PageContent) -> str:
    if content.data_ts is None:
        text = _("There is no data yet.")
    else:
        text = _("Data up to {time}, {date}.").format(
            time=clock(content.data_ts), date=long_date(content.data_ts)
        )
    if not content.clock_is_true:
        text += " " + _("The clock of the box is not certain yet.")
    return text


def _footer(content: PageContent) -> list[str]:
    minutes = round(OLD_AFTER_INTERVALS * max(300.0, content.interval_s) / 60)
    text = _(
        "If the data is more than {minutes} minutes old, the box may be off: this page shows an old state."
    )
    return [f"<footer>{escape(text.format(minutes=minutes))}</footer>"]
