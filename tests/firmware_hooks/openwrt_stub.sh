# A thin stand-in for OpenWrt's rc.common, procd and UCI functions; runs $1 of the init script $SCRIPT.
# UCI_EXPORT is what `uci export` would print, read as OpenWrt reads it: as a shell script of its own words.
reset_cb() { config_cb() { :; }; option_cb() { :; }; list_cb() { :; }; }
reset_cb
config() { stub_section="$2"; config_cb "$1" "$2"; }
option() { eval "stub_${stub_section}_$1=\$2"; option_cb "$1" "$2"; }
list() { list_cb "$1" "$2"; }
package() { :; }
config_load() { . "$UCI_EXPORT"; }
config_get_bool() { # VARIABLE SECTION OPTION DEFAULT
  eval "stub_value=\${stub_$2_$3:-$4}"
  case "$stub_value" in
    1 | on | true | yes | enabled) eval "$1=1" ;;
    0 | off | false | no | disabled) eval "$1=0" ;;
    *) eval "$1=\$4" ;;
  esac
}
chown() { :; }
logger() { printf 'logger %s\n' "$*" >>"$CALLS"; }
for name in procd_open_instance procd_set_param procd_append_param procd_close_instance procd_add_reload_trigger; do
  eval "$name() { printf '%s' $name >>\"\$CALLS\"; printf ' %s' \"\$@\" >>\"\$CALLS\"; echo >>\"\$CALLS\"; }"
done
start() { start_service "$@"; }
. "$SCRIPT"
"$@"
