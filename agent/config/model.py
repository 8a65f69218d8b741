"""The configuration as frozen dataclasses: one per section, one field per key, every value checked.

Units stand in the names of the keys. Defaults, and what a key means and may hold, come from `keys.py`.
A section with a value that is not allowed cannot be made: it raises ImpossibleValue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from agent.config.keys import (
    DEFAULTS,
    MAX_KEEPALIVE_S,
    RULES,
    ImpossibleValue,
    check_together,
    effective_port,
)
from agent.config.rules import split_address

KEEPALIVE_MARGIN_S = 90
"""How far the keepalive lies above the publish interval: a reading each minute keeps below it too."""


class _Section:
    """A section checks its keys when it is made, whoever makes it. section is its name in the file."""

    __slots__ = ()
    section: ClassVar[str]

    def __post_init__(self) -> None:
        values = {}
        for key, rule in RULES[self.section].items():
            try:
                values[key] = rule.accept(getattr(self, key))
            except ValueError:
                raise ImpossibleValue(key, rule.allowed()) from None
            object.__setattr__(self, key, values[key])
        check_together(self.section, values)


@dataclass(frozen=True, slots=True)
class GatewayConfig(_Section):
    """`[gateway]`: who this gateway is. An empty id is refused by `sinyal run` only."""

    section = "gateway"
    id: str = DEFAULTS["gateway.id"]
    kode_desa: str = DEFAULTS["gateway.kode_desa"]
    kode_edisi: str = DEFAULTS["gateway.kode_edisi"]
    site_name: str = DEFAULTS["gateway.site_name"]
    role: str = DEFAULTS["gateway.role"]
    language: str = DEFAULTS["gateway.language"]


@dataclass(frozen=True, slots=True)
class PathsConfig(_Section):
    """`[paths]`: the folders of the agent."""

    section = "paths"
    state: Path = DEFAULTS["paths.state"]
    runtime: Path = DEFAULTS["paths.runtime"]


@dataclass(frozen=True, slots=True)
class ReadingsConfig(_Section):
    """`[readings]`: how often a reading is taken."""

    section = "readings"
    interval_s: float = DEFAULTS["readings.interval_s"]


@dataclass(frozen=True, slots=True)
class ModemConfig(_Section):
    """`[modem]`: where the modem is. The PIN stays out of repr(), which may end in a log."""

    section = "modem"
    port: str = DEFAULTS["modem.port"]
    sim_pin: str = field(default=DEFAULTS["modem.sim_pin"], repr=False)


@dataclass(frozen=True, slots=True)
class BufferConfig(_Section):
    """`[buffer]`: the database of readings.

    commit_interval_s is None where it follows readings.interval_s: Config.effective_commit_interval_s().
    """

    section = "buffer"
    commit_interval_s: float | None = DEFAULTS["buffer.commit_interval_s"]
    commit_readings: int = DEFAULTS["buffer.commit_readings"]
    max_bytes: int = DEFAULTS["buffer.max_bytes"]
    keep_days: int = DEFAULTS["buffer.keep_days"]


@dataclass(frozen=True, slots=True)
class BrokerConfig(_Section):
    """`[broker]`: the MQTT broker of the centre. With an empty host nothing is published.

    port is None where it follows tls: effective_port().
    """

    section = "broker"
    host: str = DEFAULTS["broker.host"]
    port: int | None = DEFAULTS["broker.port"]
    fallbacks: tuple[str, ...] = DEFAULTS["broker.fallbacks"]
    tls: bool = DEFAULTS["broker.tls"]
    ca_file: Path | None = DEFAULTS["broker.ca_file"]
    cert_file: Path | None = DEFAULTS["broker.cert_file"]
    key_file: Path | None = DEFAULTS["broker.key_file"]

    def effective_port(self) -> int:
        """Return the port in use: the one that is set, else 8883 with TLS and 1883 without."""
        return effective_port(self.port, tls=self.tls)

    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Return (host, port) of the broker and its fallbacks, in the order of trying; () without a host."""
        if not self.host:
            return ()
        return ((self.host, self.effective_port()), *(split_address(address) for address in self.fallbacks))


@dataclass(frozen=True, slots=True)
class PublishConfig(_Section):
    """`[publish]`: when and how readings are sent.

    keepalive_s is None where it follows interval_s: effective_keepalive_s().
    """

    section = "publish"
    interval_s: float = DEFAULTS["publish.interval_s"]
    batch_readings: int = DEFAULTS["publish.batch_readings"]
    encoding: str = DEFAULTS["publish.encoding"]
    max_payload_bytes: int = DEFAULTS["publish.max_payload_bytes"]
    backlog_bytes_per_s: int = DEFAULTS["publish.backlog_bytes_per_s"]
    reconnect_max_s: float = DEFAULTS["publish.reconnect_max_s"]
    startup_delay_max_s: float = DEFAULTS["publish.startup_delay_max_s"]
    keepalive_s: int | None = DEFAULTS["publish.keepalive_s"]

    def effective_keepalive_s(self) -> int:
        """Return the MQTT keepalive in seconds: the one that is set, else just above the publish interval.

        A ping and its answer cost 217 bytes on the wire, while every message already shows that the
        link lives. With the keepalive above the publish interval, a gateway that publishes never pings.
        """
        if self.keepalive_s is not None:
            return self.keepalive_s
        return min(int(self.interval_s) + KEEPALIVE_MARGIN_S, MAX_KEEPALIVE_S)


@dataclass(frozen=True, slots=True)
class UplinkConfig(_Section):
    """`[uplink]`: the network interface whose bytes are counted."""

    section = "uplink"
    interface: str = DEFAULTS["uplink.interface"]


@dataclass(frozen=True, slots=True)
class LanConfig(_Section):
    """`[lan]`: the network of the village, whose devices are counted."""

    section = "lan"
    interface: str = DEFAULTS["lan.interface"]


@dataclass(frozen=True, slots=True)
class BudgetConfig(_Section):
    """`[budget]`: what the agent itself may send and receive in a paid month."""

    section = "budget"
    profile: str = DEFAULTS["budget.profile"]
    month_bytes: int = DEFAULTS["budget.month_bytes"]
    day_of_month: int = DEFAULTS["budget.day_of_month"]
    rupiah_per_mb: float = DEFAULTS["budget.rupiah_per_mb"]


@dataclass(frozen=True, slots=True)
class ThroughputConfig(_Section):
    """`[throughput]`: the speed tests. With an empty url and the engine "https" there are none."""

    section = "throughput"
    url: str = DEFAULTS["throughput.url"]
    engine: str = DEFAULTS["throughput.engine"]
    tests_per_day: int = DEFAULTS["throughput.tests_per_day"]
    ca_file: Path | None = DEFAULTS["throughput.ca_file"]


@dataclass(frozen=True, slots=True)
class PageConfig(_Section):
    """`[page]`: the village page. Without a folder the agent writes none."""

    section = "page"
    folder: Path | None = DEFAULTS["page.folder"]
    interval_s: float = DEFAULTS["page.interval_s"]
    contact_name: str = DEFAULTS["page.contact_name"]
    contact_phone: str = DEFAULTS["page.contact_phone"]


@dataclass(frozen=True, slots=True)
class LinkConfig(_Section):
    """`[link]`: how the internet is watched, and what a video meeting needs of it.

    targets is empty where the broker and a public address are probed; operator_codes as in
    rules.split_operator_code.
    """

    section = "link"
    targets: tuple[str, ...] = DEFAULTS["link.targets"]
    probe_interval_s: float = DEFAULTS["link.probe_interval_s"]
    suspect_interval_s: float = DEFAULTS["link.suspect_interval_s"]
    page_url: str = DEFAULTS["link.page_url"]
    page_text: str = DEFAULTS["link.page_text"]
    operator_codes: tuple[str, ...] = DEFAULTS["link.operator_codes"]
    meeting_max_rtt_ms: float = DEFAULTS["link.meeting_max_rtt_ms"]
    meeting_max_jitter_ms: float = DEFAULTS["link.meeting_max_jitter_ms"]
    meeting_max_loss_ratio: float = DEFAULTS["link.meeting_max_loss_ratio"]
    meeting_min_down_kbit_s: float = DEFAULTS["link.meeting_min_down_kbit_s"]
    meeting_min_up_kbit_s: float = DEFAULTS["link.meeting_min_up_kbit_s"]


@dataclass(frozen=True, slots=True)
class GpioConfig(_Section):
    """`[gpio]`: what is wired to the pins. Without an adapter nothing of it is loaded."""

    section = "gpio"
    adapter: str = DEFAULTS["gpio.adapter"]
    led_power: str = DEFAULTS["gpio.led_power"]
    led_modem: str = DEFAULTS["gpio.led_modem"]
    led_signal: str = DEFAULTS["gpio.led_signal"]
    led_link: str = DEFAULTS["gpio.led_link"]
    led_unsent: str = DEFAULTS["gpio.led_unsent"]
    relay: str = DEFAULTS["gpio.relay"]
    relay_off_s: float = DEFAULTS["gpio.relay_off_s"]
    relay_pause_s: float = DEFAULTS["gpio.relay_pause_s"]
    mains: str = DEFAULTS["gpio.mains"]
    battery_low: str = DEFAULTS["gpio.battery_low"]
    debounce_s: float = DEFAULTS["gpio.debounce_s"]
    button: str = DEFAULTS["gpio.button"]
    buzzer: str = DEFAULTS["gpio.buzzer"]


@dataclass(frozen=True, slots=True)
class PowerConfig(_Section):
    """`[power]`: where mains and battery are read, and what happens while mains is away."""

    section = "power"
    mains_supply: str = DEFAULTS["power.mains_supply"]
    battery_supply: str = DEFAULTS["power.battery_supply"]
    low_power_interval_s: int = DEFAULTS["power.low_power_interval_s"]
    on_low_battery: str = DEFAULTS["power.on_low_battery"]
    low_battery_pct: float = DEFAULTS["power.low_battery_pct"]
    low_battery_v: float = DEFAULTS["power.low_battery_v"]


@dataclass(frozen=True, slots=True)
class RecoveryConfig(_Section):
    """`[recovery]`: reviving a modem that hangs."""

    section = "recovery"
    enabled: bool = DEFAULTS["recovery.enabled"]
    wait_s: float = DEFAULTS["recovery.wait_s"]
    reboot: bool = DEFAULTS["recovery.reboot"]


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; `Config()` holds every default."""

    gateway: GatewayConfig = GatewayConfig()
    paths: PathsConfig = PathsConfig()
    readings: ReadingsConfig = ReadingsConfig()
    modem: ModemConfig = ModemConfig()
    buffer: BufferConfig = BufferConfig()
    broker: BrokerConfig = BrokerConfig()
    publish: PublishConfig = PublishConfig()
    uplink: UplinkConfig = UplinkConfig()
    lan: LanConfig = LanConfig()
    budget: BudgetConfig = BudgetConfig()
    throughput: ThroughputConfig = ThroughputConfig()
    page: PageConfig = PageConfig()
    link: LinkConfig = LinkConfig()
    gpio: GpioConfig = GpioConfig()
    power: PowerConfig = PowerConfig()
    recovery: RecoveryConfig = RecoveryConfig()

    def effective_commit_interval_s(self) -> float:
        """Return what a power cut may cost, in seconds: the number set, 0 included, else the interval."""
        if self.buffer.commit_interval_s is None:
            return self.readings.interval_s
        return self.buffer.commit_interval_s

    def effective_values(self) -> dict[str, object]:
        """Return every value in use by "section.key", secrets included; None only where no file is set."""
        values = {
            f"{section}.{key}": getattr(getattr(self, section), key)
            for section, rules in RULES.items()
            for key in rules
        }
        values["buffer.commit_interval_s"] = self.effective_commit_interval_s()
        values["broker.port"] = self.broker.effective_port()
        values["publish.keepalive_s"] = self.publish.effective_keepalive_s()
        return values


SECTIONS: Mapping[str, type[Any]] = {
    name: type(described.default) for name, described in Config.__dataclass_fields__.items()
}
"""The dataclass of every section."""


def config_of(values: Mapping[str, Any]) -> Config:
    """Return the configuration that holds `values`, each by its "section.key"."""
    sections = {
        name: section(**{key: values[f"{name}.{key}"] for key in RULES[name]})
        for name, section in SECTIONS.items()
    }
    return Config(**sections)
