"""Each hook under the real shells: which calls it passes on, with which words, and that it never fails."""

import os
from pathlib import Path

import pytest

from agent.modem.find import _AT_INTERFACES
from tests.firmware_hooks.shells import HOOKS, Recorder, run, shell

HOSTILE = (
    "$(touch canary)",
    "`touch canary`",
    "'; touch canary; '",
    '"; touch canary; "',
    "a b\tc",
    "line\nbreak",
    "-n",
    "*",
    "é\\x41%s",
    "x" * 5000,
)

WRT = HOOKS / "openwrt"

CALLS = [
    ("hotplug.d/iface/50-sinyal", "ACTION=ifup INTERFACE=wan", "uplink-up wan"),
    ("hotplug.d/iface/50-sinyal", "ACTION=ifupdate INTERFACE=wwan", "uplink-up wwan"),
    ("hotplug.d/iface/50-sinyal", "ACTION=ifup INTERFACE=lan", ""),
    ("hotplug.d/iface/50-sinyal", "ACTION=ifdown INTERFACE=wan", ""),
    ("hotplug.d/tty/20-sinyal", "ACTION=add DEVICENAME=ttyUSB2", "modem-added ttyUSB2"),
    ("hotplug.d/tty/20-sinyal", "ACTION=remove DEVICENAME=ttyACM0", "modem-removed ttyACM0"),
    ("hotplug.d/tty/20-sinyal", "ACTION=bind DEVICENAME=ttyUSB2", ""),
    ("hotplug.d/tty/20-sinyal", "ACTION=add DEVICENAME=ttyS0", ""),
    (
        "hotplug.d/usb/50-sinyal",
        "ACTION=remove DEVTYPE=usb_device PRODUCT=2c7c/125/1",
        "modem-removed 2c7c/125/1",
    ),
    ("hotplug.d/usb/50-sinyal", "ACTION=add DEVTYPE=usb_device PRODUCT=2c7c/125/1", ""),
    ("hotplug.d/ntp/50-sinyal", "ACTION=step", "time-synced step"),
    ("hotplug.d/ntp/50-sinyal", "ACTION=stratum", "time-synced stratum"),
    ("hotplug.d/ntp/50-sinyal", "ACTION=periodic", ""),
    ("rc.button/BTN_0", "ACTION=released SEEN=2 BUTTON=BTN_0", "button-short BTN_0"),
    ("rc.button/BTN_0", "ACTION=released SEEN=7 BUTTON=BTN_0", "button-long BTN_0"),
    ("rc.button/BTN_0", "ACTION=released SEEN=20 BUTTON=BTN_0", "button-very-long BTN_0"),
    ("rc.button/BTN_0", "ACTION=pressed SEEN=7 BUTTON=BTN_0", ""),
    ("rc.button/BTN_0", "ACTION=released SEEN=7x BUTTON=BTN_0", ""),
    ("rc.button/BTN_0", "", ""),
]


def variables_of(given: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in given.split())


@pytest.mark.parametrize(("script", "given", "told"), CALLS)
def test_a_hook_passes_on_what_concerns_the_agent_and_nothing_else(
    script: str, given: str, told: str, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path)
    variables = {**variables_of(given), "SINYAL_EVENT": str(recorder.path)}
    ended = run([*shell("ash"), str(WRT / script)], variables, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert recorder.told() == ([tuple(told.split())] if told else [])


@pytest.mark.parametrize(
    ("arguments", "connectivity", "told"),
    [
        (("wwan0", "up"), None, ("uplink-up", "wwan0")),
        (("wwan0", "up"), "FULL", ("uplink-up", "wwan0")),
        (("", "connectivity-change"), "FULL", ("uplink-up", "")),
        (("", "connectivity-change"), "PORTAL", None),
        (("wwan0", "down"), None, None),
        (("wwan0",), None, None),
        ((), None, None),
    ],
)
def test_network_manager_is_heard_when_an_uplink_comes(
    arguments: tuple[str, ...], connectivity: str | None, told: tuple[str, ...] | None, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path)
    variables = {"SINYAL_EVENT": str(recorder.path)}
    if connectivity:
        variables["CONNECTIVITY_STATE"] = connectivity
    script = HOOKS / "networkmanager/50-sinyal"
    ended = run([*shell("dash"), str(script), *arguments], variables, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
    assert recorder.told() == ([told] if told else [])


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_variables_are_words_and_never_code(value: str, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    heard = {script: variables_of(given) for script, given, told in reversed(CALLS) if told}
    for script, given in heard.items():
        for changed in given:
            variables = {**given, changed: value, "SINYAL_EVENT": str(recorder.path)}
            ended = run([*shell("ash"), str(WRT / script)], variables, cwd=tmp_path)
            assert (ended.returncode, ended.stderr) == (0, b"")
    manager = HOOKS / "networkmanager/50-sinyal"
    run([*shell("dash"), str(manager), value, "up"], {"SINYAL_EVENT": str(recorder.path)}, cwd=tmp_path)
    assert not (tmp_path / "canary").exists()
    known = {"uplink-up", "modem-added", "modem-removed", "time-synced", "button-short", "button-long"}
    assert {call[0] for call in recorder.told()} <= known


def test_a_missing_teller_fails_no_hook(tmp_path: Path) -> None:
    for script, given, _told in CALLS:
        variables = {**variables_of(given), "SINYAL_EVENT": "/nowhere"}
        ended = run([*shell("ash"), str(WRT / script)], variables, cwd=tmp_path)
        assert ended.returncode == 0


def test_the_modems_switch_on_the_bus_is_given_to_the_agent_and_no_other(tmp_path: Path) -> None:
    port = tmp_path / "sys/devices/usb1/1-1/1-1:1.2/ttyUSB2/tty/ttyUSB2"
    port.mkdir(parents=True)
    for device in ("usb1", "usb1/1-1"):
        (tmp_path / "sys/devices" / device / "idVendor").touch()
    switches = [
        tmp_path / "sys/devices" / of / "authorized" for of in ("usb1", "usb1/1-1", "usb1/1-1/1-1:1.2")
    ]
    for switch in switches:
        switch.touch(mode=0o644)
    variables = {
        "ACTION": "add", "DEVICENAME": "ttyUSB2", "DEVPATH": "/devices/usb1/1-1/1-1:1.2/ttyUSB2/tty/ttyUSB2",
        "SYSFS": str(tmp_path / "sys"), "SINYAL_GROUP": str(os.getgid()), "SINYAL_EVENT": "/nowhere",
    }  # fmt: skip
    for path in (variables["DEVPATH"], "", "/nowhere/at/all"):
        hook = str(WRT / "hotplug.d/tty/20-sinyal")
        ended = run([*shell("ash"), hook], {**variables, "DEVPATH": path}, cwd=tmp_path)
        assert ended.returncode == 0
    assert [switch.stat().st_mode & 0o777 for switch in switches] == [0o644, 0o664, 0o644]


def test_udev_names_the_ports_that_the_agent_reads() -> None:
    named: dict[str, int] = {}
    rules = (HOOKS / "udev/78-sinyal.rules").read_text()
    for line in rules.splitlines():
        parts = line.split('"')
        if line.startswith("ENV{ID_VENDOR_ID}") and "ID_MODEL_ID" in line:
            assert parts[0::2][:3] == [
                "ENV{ID_VENDOR_ID}==",
                ", ENV{ID_MODEL_ID}==",
                ", ENV{ID_USB_INTERFACE_NUM}==",
            ]
            named.update({f"{parts[1]}:{model}": int(parts[5], 16) for model in parts[3].split("|")})
    assert named == _AT_INTERFACES
    labels = {line.split('"')[1] for line in rules.splitlines() if line.startswith("LABEL")}
    assert {part.split('"')[1] for part in rules.split("GOTO=")[1:]} == labels
