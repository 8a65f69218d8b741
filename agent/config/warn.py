"""What `sinyal config check` tells beside mistakes: what cannot work, and what was hardly meant."""

import os
import stat
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from agent.config.keys import RULES
from agent.config.load import CONFIG_VARIABLE, LANGUAGE_VARIABLE, LoadedConfig, variables_of
from agent.config.toml_text import one_line
from agent.errors import SinyalError
from agent.language import _


def warnings_about(loaded: LoadedConfig, environment: Mapping[str, str]) -> list[str]:
    """Return one line for each thing in a configuration without mistakes that deserves a second look."""
    of_configuration = (warning for find in WARNINGS for warning in find(loaded))
    return [*_unknown_variables(environment), *of_configuration]


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    known = {name for section, keys in RULES.items() for key in keys for name in variables_of(section, key)}
    for variable in sorted(environment.keys() - known - {CONFIG_VARIABLE, LANGUAGE_VARIABLE}):
        if variable.startswith("SINYAL_"):
            yield _("{variable} is set, but belongs to no key").format(variable=one_line(variable))


def problems_of(loaded: LoadedConfig) -> list[SinyalError]:
    """Return what keeps the agent from starting or from ever reaching its broker."""
    return [problem for find in PROBLEMS for problem in find(loaded)]


def _no_name(loaded: LoadedConfig) -> Iterator[SinyalError]:
    if not loaded.config.gateway.id:
        yield SinyalError(
            _("gateway.id is empty: `sinyal run` will refuse to start"),
            _("sinyal config set gateway.id NAME"),
        )


def _tls_files_missing(loaded: LoadedConfig) -> Iterator[SinyalError]:
    broker = loaded.config.broker
    for key, file in _named_tls_files(loaded) if broker.tls and broker.host else ():
        if not _is_missing(file):
            continue
        yield SinyalError(
            _("broker.{key}: {file} is not there").format(key=key, file=one_line(str(file))),
            _("put the file there, or correct broker.{key}").format(key=key),
        )


def _named_tls_files(loaded: LoadedConfig) -> Iterator[tuple[str, Path]]:
    broker = loaded.config.broker
    files = {"ca_file": broker.ca_file, "cert_file": broker.cert_file, "key_file": broker.key_file}
    return ((key, file) for key, file in files.items() if file is not None)


def _is_missing(file: Path) -> bool:
    """Return whether there is no file; where this user may not look it may well be one."""
    try:
        return not stat.S_ISREG(file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def _readable_pin(loaded: LoadedConfig) -> Iterator[str]:
    pin_in_file = loaded.config.modem.sim_pin and loaded.origins["modem.sim_pin"] == "file"
    if pin_in_file and loaded.path.stat().st_mode & stat.S_IROTH:
        file = one_line(str(loaded.path))
        yield _("{file} holds the SIM PIN and everybody may read it: chmod 640").format(file=file)


def _plain_mqtt(loaded: LoadedConfig) -> Iterator[str]:
    broker = loaded.config.broker
    for host, _port in () if broker.tls else broker.addresses():
        if not _is_loopback(host):
            yield _("broker.tls is false: readings travel to {host} unencrypted").format(host=host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fallbacks_without_host(loaded: LoadedConfig) -> Iterator[str]:
    if loaded.config.broker.fallbacks and not loaded.config.broker.host:
        yield _("broker.host is empty: nothing is published, broker.fallbacks included")


def _tls_files(loaded: LoadedConfig) -> Iterator[str]:
    told = bool(loaded.config.broker.tls and loaded.config.broker.host)
    for key, file in _named_tls_files(loaded):
        if told and _is_missing(file):
            continue  # a problem already
        try:
            mode = file.stat().st_mode
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            yield _("broker.{key}: {file}: {reason}").format(key=key, file=one_line(str(file)), reason=reason)
            continue
        if key == "key_file" and mode & stat.S_IROTH:
            yield _("broker.key_file: everybody may read {file}: chmod 640").format(file=one_line(str(file)))


PROBLEMS = (_no_name, _tls_files_missing)
WARNINGS = (_readable_pin, _plain_mqtt, _fallbacks_without_host, _tls_files)
"""Every look at a configuration, in the order of their warnings."""
