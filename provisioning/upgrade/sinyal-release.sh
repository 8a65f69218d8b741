#!/bin/sh
# sinyal-release: puts a release of Sinyal beside the running one, tries it, and goes back when it is not healthy.
#
#   sinyal-release install ARCHIVE   verify, self-test, swap, restart, watch; back when it is not healthy
#     --no-wait                      return after the swap; `resume` watches
#     --trusted                      the archive came in a package that was checked already
#     --force                        also a release that failed twice
#   sinyal-release resume            end what a power cut interrupted (run at each boot)
#   sinyal-release rollback          back to the release before, by hand
#   sinyal-release list              the releases on this gateway; * is in use
#     --lang id|en                   language of what it says
#
# It is no part of a release: none judges itself. Runs in dash and in busybox ash, without network.
# Under /opt/sinyal: releases/VERSION · current -> releases/VERSION · upgrade/trial, the journal of an upgrade that
# is not decided yet · upgrade/result, how the last one ended (what `sinyal status` shows) · upgrade/failed.
set -u
umask 022

root=${SINYAL_ROOT:-/opt/sinyal}
releases=$root/releases
journal=$root/upgrade/trial
result=$root/upgrade/result
failures=$root/upgrade/failed
marker=$root/upgrade/restarted
config=${SINYAL_CONFIG:-/etc/sinyal/sinyal.toml}
public_key=${SINYAL_RELEASE_KEY:-/etc/sinyal/release.pub}

# A trial lasts at most this long; three good looks in a row end it sooner.
limit_s=${SINYAL_TRIAL_S:-600}
look_every_s=${SINYAL_LOOK_EVERY_S:-10}
good_looks=3
# After so many starts without a decision the power itself is the trouble: the release that was known wins.
starts_at_most=3

lang=${SINYAL_LANG:-id}

say() { # English Indonesian
  if [ "$lang" = en ]; then printf 'sinyal-release: %s\n' "$1"; else printf 'sinyal-release: %s\n' "$2"; fi
}

fail() { # code English Indonesian
  code=$1
  shift
  say "$@" >&2
  exit "$code"
}

# ---- small files that are there whole or not at all ----

write_whole() { # path; the text on standard input
  cat >"$1.new" && flush "$1.new" && mv -f "$1.new" "$1" && flush "$root/upgrade"
}

flush() { # paths: they are on the disk when this returns
  sync "$@" 2>/dev/null || sync
}

value_of() { # name path
  sed -n "s/^$1=//p" "$2" 2>/dev/null | head -n 1
}

uptime_s() {
  read -r seconds _ </proc/uptime
  echo "${seconds%%.*}"
}

take_lock() {
  mkdir -p "$releases" "$root/upgrade" 2>/dev/null && [ -w "$root/upgrade" ] ||
    fail 3 "no permission to write in $root. Next step: use sudo" "tidak boleh menulis di $root. Langkah berikut: pakai sudo"
  holder=$(cat "$root/upgrade/lock" 2>/dev/null)
  # After a power cut the number may belong to anybody.
  if [ -n "$holder" ] && [ "$holder" != $$ ] && cat "/proc/$holder/cmdline" 2>/dev/null | tr '\0' ' ' | grep -q sinyal-release; then
    fail 1 "another sinyal-release is at work (process $holder). Next step: wait for it" \
      "sinyal-release lain sedang bekerja (proses $holder). Langkah berikut: tunggu sampai selesai"
  fi
  echo $$ | write_whole "$root/upgrade/lock"
}

# ---- the releases ----

is_version() {
  case $1 in '' | .* | *[!0-9A-Za-z.+~-]*) return 1 ;; esac
}

current_version() {
  target=$(readlink "$root/current" 2>/dev/null) || return 0
  echo "${target##*/}"
}

previous_version() { # the newest release that is not the current one
  now=$(current_version)
  for each in $(cd "$releases" 2>/dev/null && ls -t); do
    if [ "$each" != "$now" ] && is_version "$each"; then
      echo "$each"
      return
    fi
  done
}

swap_to() { # version; the link is the old or the new one at every moment
  rm -f "$root/current.new"
  ln -s "releases/$1" "$root/current.new" &&
    mv -fT "$root/current.new" "$root/current" && flush "$root"
}

keep_two() { # version version
  for each in "$releases"/* "$releases"/.incoming; do
    name=${each##*/}
    if [ "$name" != "$1" ] && [ "$name" != "$2" ]; then rm -rf "$each"; fi
  done
}

times_failed() { # version
  grep -cxF "$1" "$failures" 2>/dev/null || true
}

# ---- verification ----

check_archive() { # archive
  beside=$(dirname "$1")/SHA256SUMS
  [ "$trusted" = yes ] && return
  if [ -f "$public_key" ]; then
    command -v openssl >/dev/null 2>&1 ||
      fail 1 "this gateway asks for signed releases and has no openssl. Next step: install openssl" \
        "gerbang ini menuntut rilis bertanda tangan, tetapi openssl tidak ada. Langkah berikut: pasang openssl"
    openssl dgst -sha256 -verify "$public_key" -signature "$beside.sig" "$beside" >/dev/null 2>&1 ||
      fail 1 "the hash list beside $1 is not signed with $public_key; nothing was changed. Next step: take an official bundle" \
        "daftar hash di samping $1 tidak ditandatangani dengan $public_key; tidak ada yang diubah. Langkah berikut: pakai paket resmi"
  fi
  if [ -f "$beside" ]; then
    name=$(basename "$1")
    wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\$/\1/p" "$beside")
    found=$(sha256sum "$1" | cut -d ' ' -f 1)
    [ -n "$wanted" ] && [ "$wanted" = "$found" ] ||
      fail 1 "$1 is damaged or was tampered with (hash list); nothing was changed. Next step: copy it again" \
        "$1 rusak atau telah diubah (daftar hash); tidak ada yang diubah. Langkah berikut: salin ulang"
  elif [ -f "$public_key" ]; then
    fail 1 "there is no signed hash list beside $1; nothing was changed" "tidak ada daftar hash bertanda tangan di samping $1; tidak ada yang diubah"
  fi
}

check_tree() { # folder: every file is listed and as it was made, and no other is there
  (cd "$1" && [ -f SHA256SUMS ] && sha256sum -c SHA256SUMS >/dev/null 2>&1 &&
    [ "$(find . -type f ! -name SHA256SUMS | sort)" = "$(sed 's/^[0-9a-f]*  //' SHA256SUMS | sort)" ] &&
    [ -z "$(find . ! -type f ! -type d)" ])
}

# ---- making it ready, beside the running one ----

unpack() { # archive -> .incoming
  rm -rf "$releases/.incoming"
  if ! mkdir "$releases/.incoming" || ! tar -xzf "$1" -C "$releases/.incoming" 2>/dev/null; then
    rm -rf "$releases/.incoming"
    fail 1 "$1 is damaged, or the disk is full; nothing was changed. Next step: df -h, then copy it again" \
      "$1 rusak, atau penyimpanan penuh; tidak ada yang diubah. Langkah berikut: df -h, lalu salin ulang"
  fi
  check_tree "$releases/.incoming" && return
  rm -rf "$releases/.incoming"
  fail 1 "$1 is not as it was made (a file was changed, added or lost); nothing was changed here. Next step: take an official bundle" \
    "isi $1 tidak seperti saat dibuat (ada berkas diubah, ditambah, atau hilang); tidak ada yang diubah di sini. Langkah berikut: pakai paket resmi"
}

prepare() { # folder: an environment of its own and bytecode, both of this gateway's Python
  python3 -m venv --without-pip "$1/venv" >/dev/null 2>&1 || rm -rf "$1/venv"
  for packages in "$1"/venv/lib/python3*/site-packages; do
    [ -d "$packages" ] && echo ../../../../site >"$packages/sinyal.pth"
  done
  python3 -m compileall -q --invalidation-mode unchecked-hash "$1/site" >/dev/null 2>&1 || true
}

self_test() { # folder version
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    reason=python
    return 1
  }
  told=$("$1/bin/sinyal" --version 2>/dev/null) && [ "$told" = "sinyal $2" ] || {
    reason=self_test
    return 1
  }
  # What the daemon loads, loaded here; the configuration it will meet, read by its own rules.
  PYTHONPATH="$1/site" python3 -P -c 'import agent.pipeline.start, agent.pipeline.handover' >/dev/null 2>&1 || {
    reason=self_test
    return 1
  }
  [ -f "$config" ] || return 0
  "$1/bin/sinyal" config check --config "$config" >/dev/null 2>&1
  [ $? -le 1 ] || {
    reason=configuration
    return 1
  }
}

# ---- the service, and what can be seen of it from outside ----

service() { # start|stop|restart
  if [ -n "${SINYAL_SERVICE:-}" ]; then
    "$SINYAL_SERVICE" "$1"
  elif [ -d /run/systemd/system ]; then
    systemctl "$1" sinyal
  elif [ -f /etc/openwrt_release ] && [ -x /etc/init.d/sinyal ]; then
    /etc/init.d/sinyal "$1"
  else
    return 1
  fi
}

restart_marked() { # what is written later than the marker, the new release has written
  service stop || true
  touch "$marker"
  service start || true
}

configured_path() { # key default: the folder as the configuration has it
  found=
  if [ -x "$root/current/bin/sinyal" ] && [ -f "$config" ]; then
    found=$("$root/current/bin/sinyal" config show --json --config "$config" 2>/dev/null |
      sed -n "s/.*\"$1\": {\"value\": \"\([^\"]*\)\".*/\1/p")
  fi
  echo "${found:-$2}"
}

find_folders() {
  runtime=${SINYAL_RUNTIME:-$(configured_path paths.runtime /run/sinyal)}
  state=${SINYAL_STATE:-$(configured_path paths.state /var/lib/sinyal)}
}

daemon_pid() { # of the process that holds the agent's lock file, as far as it lives
  pid=$(head -n 1 "$runtime/sinyal.lock" 2>/dev/null)
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  cat "/proc/$pid/cmdline" 2>/dev/null | tr '\0' ' ' | grep -q 'agent.pipeline\|sinyal' && echo "$pid"
}

shown() { # name: a word or number of the daemon's snapshot
  sed -n "s/.*\"$1\": \"\{0,1\}\([^\",}]*\).*/\1/p" "$runtime/status.json" 2>/dev/null | head -n 1
}

modem_answers() { # modem_state
  case $1 in ok | busy | restarted) return 0 ;; *) return 1 ;; esac
}

find_fault() { # version modem_before: sets `fault` to what keeps it from being healthy, empty when nothing does
  fault=not_running
  pid=$(daemon_pid) || return
  [ "$pid" = "$last_pid" ] || {
    last_pid=$pid
    fault=just_started
    return
  }
  fault=no_reading
  [ "$runtime/status.json" -nt "$marker" ] && [ "$(shown pid)" = "$pid" ] && [ "$(shown version)" = "$1" ] || return
  fault=database_not_written
  [ "$(shown store_problem)" = null ] || return
  [ "$state/sinyal.db-wal" -nt "$marker" ] || [ "$state/sinyal.db" -nt "$marker" ] || return
  [ "$(shown last_seq)" -ge 1 ] 2>/dev/null || return
  fault=no_reading
  [ "$(shown taken)" -ge 1 ] 2>/dev/null || return
  fault=modem_silent
  if modem_answers "$2" && ! modem_answers "$(shown modem_state)"; then return; fi
  fault=
}

# ---- the decision ----

write_result() { # state new old reason
  printf 'state=%s\nnew=%s\nold=%s\nreason=%s\nts=%s\n' "$1" "$2" "$3" "$4" "$(date +%s)" | write_whole "$result"
}

go_back() { # new old reason
  printf 'stage=back\nnew=%s\nold=%s\nreason=%s\n' "$1" "$2" "$3" | write_whole "$journal"
  say "step back: $2" "langkah kembali: $2"
  swap_to "$2" || fail 1 "$root/current cannot be written. Next step: df -h" "$root/current tidak dapat ditulis. Langkah berikut: df -h"
  write_result rolled_back "$1" "$2" "$3"
  echo "$1" >>"$failures"
  rm -f "$journal"
  flush "$root/upgrade"
  service restart || true
  say "release $1 was not healthy ($3); $2 is back. Next step: sinyal status" "rilis $1 tidak sehat ($3); kembali ke $2. Langkah berikut: sinyal status"
}

watch() { # new old modem_before: 0 when the new release stays; after find_folders
  ends_at=$(($(uptime_s) + limit_s))
  late=no
  last_pid=
  fault=
  good=0
  while [ "$(uptime_s)" -le "$ends_at" ]; do
    find_fault "$1" "$3"
    # A modem that starts with the gateway is late for the first reading, and the next may be an hour away.
    if [ "$fault" = modem_silent ] && [ "$late" = no ]; then
      late=yes
      each_s=$(shown interval_s | sed 's/[^0-9].*//')
      ends_at=$((ends_at + ${each_s:-0}))
    fi
    if [ -z "$fault" ]; then good=$((good + 1)); else good=0; fi
    if [ "$good" -ge "$good_looks" ]; then
      write_result healthy "$1" "$2" ""
      rm -f "$journal"
      keep_two "$1" "$2"
      say "release $1 is healthy" "rilis $1 sehat"
      return 0
    fi
    sleep "$look_every_s"
  done
  # One that comes and goes is found just started at every look.
  [ "$fault" = just_started ] && fault=keeps_ending
  go_back "$1" "$2" "${fault:-not_steady}"
  return 1
}

begin_trial() { # new old modem_before starts
  printf 'stage=trial\nnew=%s\nold=%s\nmodem_before=%s\nstarts=%s\n' "$1" "$2" "$3" "$4" | write_whole "$journal"
}

# ---- the commands ----

do_install() { # archive
  archive=$1
  [ -f "$archive" ] || fail 2 "there is no file '$archive'. Next step: sinyal-release install ARCHIVE" \
    "tidak ada berkas '$archive'. Langkah berikut: sinyal-release install ARSIP"
  take_lock
  [ ! -f "$journal" ] || fail 1 "release $(value_of new "$journal") is still on trial. Next step: sinyal-release resume" \
    "rilis $(value_of new "$journal") masih diuji. Langkah berikut: sinyal-release resume"
  say "step verify" "langkah periksa"
  check_archive "$archive"
  say "step unpack" "langkah buka"
  unpack "$archive"
  new=$(value_of version "$releases/.incoming/RELEASE")
  is_version "$new" || fail 1 "$archive is no release of Sinyal" "$archive bukan rilis Sinyal"
  old=$(current_version)
  if [ "$new" = "$old" ]; then
    cmp -s "$releases/$new/SHA256SUMS" "$releases/.incoming/SHA256SUMS" || {
      rm -rf "$releases/.incoming"
      fail 1 "release $new is in use already, with other contents; nothing was changed" "rilis $new sudah dipakai, dengan isi lain; tidak ada yang diubah"
    }
    rm -rf "$releases/.incoming"
    say "release $new is in use already" "rilis $new sudah dipakai"
    return 0
  fi
  if [ "$force" != yes ] && [ "$(times_failed "$new")" -ge 2 ] 2>/dev/null; then
    rm -rf "$releases/.incoming"
    fail 1 "release $new failed here twice; nothing was changed. Next step: take another, or --force" \
      "rilis $new sudah dua kali gagal di sini; tidak ada yang diubah. Langkah berikut: pakai rilis lain, atau --force"
  fi
  say "step self-test" "langkah uji diri"
  prepare "$releases/.incoming"
  reason=
  self_test "$releases/.incoming" "$new" || {
    rm -rf "$releases/.incoming"
    write_result refused "$new" "$old" "$reason"
    fail 1 "release $new does not work on this gateway ($reason); nothing was changed" "rilis $new tidak jalan di gerbang ini ($reason); tidak ada yang diubah"
  }
  say "step place" "langkah taruh"
  # Whole on the disk before anything names it; the old sync knows no -f and takes all disks.
  sync -f "$releases/.incoming" 2>/dev/null || sync
  rm -rf "${releases:?}/$new"
  mv "$releases/.incoming" "$releases/$new"
  touch "$releases/$new"
  flush "$releases"
  put_to_use
}

put_to_use() { # uses $new and $old
  find_folders
  if [ -z "$old" ] || [ ! -d "$releases/$old" ] || ! daemon_pid >/dev/null; then
    # Nothing runs that could get worse; whether it runs well shows at its first start.
    swap_to "$new"
    write_result installed "$new" "$old" ""
    if [ -n "$old" ]; then keep_two "$new" "$old"; fi
    say "release $new is in place" "rilis $new terpasang"
    return 0
  fi
  begin_trial "$new" "$old" "$(shown modem_state)" 1
  say "step swap" "langkah tukar"
  swap_to "$new"
  say "step restart" "langkah mulai ulang"
  restart_marked
  if [ "$wait" = no ]; then return 0; fi
  say "step watch" "langkah amati"
  watch "$new" "$old" "$(value_of modem_before "$journal")"
}

do_resume() {
  take_lock
  rm -rf "$releases/.incoming" "$root/current.new"
  [ -f "$journal" ] || return 0
  new=$(value_of new "$journal")
  old=$(value_of old "$journal")
  if [ "$(value_of stage "$journal")" = back ]; then
    go_back "$new" "$old" "$(value_of reason "$journal")"
    return 1
  fi
  if [ "$(current_version)" != "$new" ]; then
    # The power went before the swap: the old release has run all the time.
    write_result interrupted "$new" "$old" power
    rm -f "$journal"
    return 1
  fi
  starts=$(value_of starts "$journal")
  case $starts in '' | *[!0-9]*) starts=1 ;; esac
  if [ "$starts" -ge "$starts_at_most" ]; then
    go_back "$new" "$old" power_cuts
    return 1
  fi
  modem_before=$(value_of modem_before "$journal")
  begin_trial "$new" "$old" "$modem_before" $((starts + 1))
  # What the agent has written since it started counts, though it started before this: with one reading an hour
  # nothing newer may come in time.
  find_folders
  if daemon_pid >/dev/null; then cp -p "$runtime/sinyal.lock" "$marker"; else touch "$marker"; fi
  watch "$new" "$old" "$modem_before"
}

do_rollback() {
  take_lock
  new=$(current_version)
  old=$(previous_version)
  [ -n "$old" ] || fail 1 "there is no other release here to go back to. Next step: sinyal-release install ARCHIVE" \
    "tidak ada rilis lain di sini untuk kembali. Langkah berikut: sinyal-release install ARSIP"
  rm -f "$journal"
  swap_to "$old"
  write_result rolled_back "$new" "$old" by_hand
  service restart || true
  say "release $old is back" "kembali ke rilis $old"
}

do_list() {
  for each in "$releases"/*; do
    name=${each##*/}
    [ -d "$each" ] || continue
    if [ "$name" = "$(current_version)" ]; then echo "* $name"; else echo "  $name"; fi
  done
}

do_help() {
  if [ "$lang" = en ]; then
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    return
  fi
  cat <<'END'
sinyal-release: menaruh rilis Sinyal di samping yang sedang jalan, mengujinya, dan kembali bila tidak sehat.

  sinyal-release install ARSIP     periksa, uji diri, tukar, mulai ulang, amati; kembali bila tidak sehat
    --no-wait                      selesai setelah ditukar; `resume` yang mengamati
    --trusted                      arsip datang dalam paket yang sudah diperiksa
    --force                        juga rilis yang sudah dua kali gagal
  sinyal-release resume            menyelesaikan yang terputus karena listrik padam (jalan tiap kali menyala)
  sinyal-release rollback          kembali ke rilis sebelumnya, dengan tangan
  sinyal-release list              rilis di gerbang ini; * sedang dipakai
    --lang id|en                   bahasa keterangannya
END
}

trusted=no
wait=yes
force=no
unknown=
command=
archive=
while [ $# -gt 0 ]; do
  case $1 in
  --trusted) trusted=yes ;;
  --no-wait) wait=no ;;
  --force) force=yes ;;
  --lang) lang=${2:-id} && [ $# -lt 2 ] || shift ;;
  -h | --help) command=help ;;
  -*) unknown=$1 ;;
  *) if [ -z "$command" ]; then command=$1; else archive=$1; fi ;;
  esac
  shift
done
[ -z "$unknown" ] ||
  fail 2 "unknown option $unknown. Next step: sinyal-release --help" "opsi $unknown tidak dikenal. Langkah berikut: sinyal-release --help"
case $command in
install) do_install "$archive" ;;
resume) do_resume ;;
rollback) do_rollback ;;
list) do_list ;;
help) do_help ;;
*) fail 2 "usage: sinyal-release install ARCHIVE | resume | rollback | list. Next step: sinyal-release --help" \
  "pemakaian: sinyal-release install ARSIP | resume | rollback | list. Langkah berikut: sinyal-release --help" ;;
esac
