#!/bin/sh
# Names for BusyBox ash (OpenWrt); written by docs/generate.py from the parser of the command line.
# This shell has no programmable completion. After `sh sinyal-names.sh install /usr/bin` its Tab
# key shows what there is: type sinyal- and press Tab. `sinyal menu` needs no Tab key at all.
set -eu
case "${0##*/}" in
  sinyal-menu) exec sinyal menu "$@" ;;
  sinyal-run) exec sinyal run "$@" ;;
  sinyal-demo) exec sinyal demo "$@" ;;
  sinyal-status) exec sinyal status "$@" ;;
  sinyal-doctor) exec sinyal doctor "$@" ;;
  sinyal-watch) exec sinyal watch "$@" ;;
  sinyal-budget) exec sinyal budget "$@" ;;
  sinyal-speedtest) exec sinyal speedtest "$@" ;;
  sinyal-modem-find) exec sinyal modem find "$@" ;;
  sinyal-modem-read) exec sinyal modem read "$@" ;;
  sinyal-modem-at) exec sinyal modem at "$@" ;;
  sinyal-modem-record) exec sinyal modem record "$@" ;;
  sinyal-modem-simulate) exec sinyal modem simulate "$@" ;;
  sinyal-aim) exec sinyal aim "$@" ;;
  sinyal-gpio) exec sinyal gpio "$@" ;;
  sinyal-buffer-stats) exec sinyal buffer stats "$@" ;;
  sinyal-buffer-export) exec sinyal buffer export "$@" ;;
  sinyal-buffer-resend) exec sinyal buffer resend "$@" ;;
  sinyal-send) exec sinyal send "$@" ;;
  sinyal-pause) exec sinyal pause "$@" ;;
  sinyal-outages) exec sinyal outages "$@" ;;
  sinyal-availability) exec sinyal availability "$@" ;;
  sinyal-page) exec sinyal page "$@" ;;
  sinyal-accept) exec sinyal accept "$@" ;;
  sinyal-wipe) exec sinyal wipe "$@" ;;
  sinyal-config-check) exec sinyal config check "$@" ;;
  sinyal-config-show) exec sinyal config show "$@" ;;
  sinyal-config-set) exec sinyal config set "$@" ;;
  sinyal-config-import-uci) exec sinyal config import-uci "$@" ;;
  sinyal-identity) exec sinyal identity "$@" ;;
  sinyal-support-bundle) exec sinyal support-bundle "$@" ;;
  sinyal-enrol-request) exec sinyal enrol request "$@" ;;
  sinyal-enrol-send) exec sinyal enrol send "$@" ;;
  sinyal-enrol-install) exec sinyal enrol install "$@" ;;
  sinyal-enrol-show) exec sinyal enrol show "$@" ;;
  sinyal-decode) exec sinyal decode "$@" ;;
  sinyal-version) exec sinyal version "$@" ;;
esac
names="sinyal-menu sinyal-run sinyal-demo sinyal-status sinyal-doctor sinyal-watch sinyal-budget sinyal-speedtest sinyal-modem-find sinyal-modem-read sinyal-modem-at sinyal-modem-record sinyal-modem-simulate sinyal-aim sinyal-gpio sinyal-buffer-stats sinyal-buffer-export sinyal-buffer-resend sinyal-send sinyal-pause sinyal-outages sinyal-availability sinyal-page sinyal-accept sinyal-wipe sinyal-config-check sinyal-config-show sinyal-config-set sinyal-config-import-uci sinyal-identity sinyal-support-bundle sinyal-enrol-request sinyal-enrol-send sinyal-enrol-install sinyal-enrol-show sinyal-decode sinyal-version"
if [ "${1:-}" != install ] || [ ! -d "${2:-}" ]; then
  echo "usage: sh $0 install FOLDER" >&2
  exit 2
fi
cp "$0" "$2/sinyal-names"
chmod 755 "$2/sinyal-names"
for name in $names; do
  ln -sf sinyal-names "$2/$name"
done
