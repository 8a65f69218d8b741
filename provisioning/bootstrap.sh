#!/bin/sh
# bootstrap.sh: from a fresh Raspberry Pi OS, Debian or OpenWrt to a gateway that runs Sinyal. Run it again at will:
# what is in place already is left alone.
#
#   sh bootstrap.sh [--offline BUNDLE] [--gateway FOLDER] [--dry-run] [--to USER@HOST] [--lang id|en]
#
#   --offline BUNDLE   sinyal-VERSION-offline.tar.gz, or the folder it was unpacked to (a USB stick); without it the
#                      folder of this script when a bundle lies there, else the sources of the package manager
#   --gateway FOLDER   what `sinyal-provision gateway new` made for this box: goes to /etc/sinyal
#   --dry-run          say what would be done, change nothing
#   --to USER@HOST     do all of it on another box, over SSH
#
# Nothing secret is in its arguments or output. POSIX sh: dash and busybox ash.
set -u
umask 022

prefix=${SINYAL_PREFIX:-}   # the tests put a whole system into a folder
lang=${SINYAL_LANG:-id}
dry_run=no
help=no
unknown=
bundle=
gateway=
to=
work=

say() { # English Indonesian
  if [ "$lang" = en ]; then printf 'bootstrap: %s\n' "$1"; else printf 'bootstrap: %s\n' "$2"; fi
}

fail() { # code English Indonesian
  code=$1
  shift
  say "$@" >&2
  exit "$code"
}

clean_up() {
  [ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

act() { # command…: done, or only told
  if [ "$dry_run" = yes ]; then
    say "would run: $*" "akan menjalankan: $*"
  else
    "$@"
  fi
}

need_value() { # option, how many words are left
  [ "$2" -ge 2 ] || fail 2 "$1 needs a value. Next step: sh bootstrap.sh --help" "$1 perlu nilai. Langkah berikut: sh bootstrap.sh --help"
}

while [ $# -gt 0 ]; do
  case $1 in
  --offline) need_value "$1" $# && bundle=$2 && shift ;;
  --gateway) need_value "$1" $# && gateway=$2 && shift ;;
  --to) need_value "$1" $# && to=$2 && shift ;;
  --lang) need_value "$1" $# && lang=$2 && shift ;;
  --dry-run) dry_run=yes ;;
  -h | --help) help=yes ;;
  *) unknown=$1 ;;
  esac
  shift
done

[ -z "$unknown" ] ||
  fail 2 "unknown: $unknown. Next step: sh bootstrap.sh --help" "tidak dikenal: $unknown. Langkah berikut: sh bootstrap.sh --help"
if [ "$help" = yes ]; then
  if [ "$lang" = en ]; then
    sed -n '2,14s/^# \{0,1\}//p' "$0"
  else
    cat <<'END'
bootstrap.sh: dari Raspberry Pi OS, Debian, atau OpenWrt yang baru menjadi gerbang yang menjalankan Sinyal. Boleh
diulang kapan saja: yang sudah ada dibiarkan.

  sh bootstrap.sh [--offline PAKET] [--gateway FOLDER] [--dry-run] [--to PENGGUNA@HOST] [--lang id|en]

  --offline PAKET    sinyal-VERSI-offline.tar.gz, atau folder hasil bukaannya (stik USB); tanpa itu folder skrip ini
                     bila paket ada di situ, kalau tidak sumber pengelola paket
  --gateway FOLDER   buatan `sinyal-provision gateway new` untuk kotak ini: masuk ke /etc/sinyal
  --dry-run          hanya mengatakan apa yang akan dilakukan, tidak ada yang diubah
  --to PENGGUNA@HOST semua itu di kotak lain, lewat SSH

Tidak ada rahasia dalam pilihan atau keluarannya. POSIX sh: dash dan busybox ash.
END
  fi
  exit 0
fi

here=$(cd "$(dirname "$0")" && pwd)
if [ -z "$bundle" ] && [ -f "$here/SHA256SUMS" ]; then bundle=$here; fi
[ -z "$bundle" ] || [ -e "$bundle" ] || fail 2 "there is no $bundle. Next step: ls" "tidak ada $bundle. Langkah berikut: ls"
[ -z "$gateway" ] || [ -d "$gateway" ] || fail 2 "there is no folder $gateway. Next step: ls" "tidak ada folder $gateway. Langkah berikut: ls"

# ---- over SSH: everything travels in one stream, and the same script goes on there ----

if [ -n "$to" ]; then
  case $to in -* | *[!A-Za-z0-9@._:-]*) fail 2 "$to is no USER@HOST, such as pi@192.0.2.7. Next step: correct it" "$to bukan PENGGUNA@HOST, misalnya pi@192.0.2.7. Langkah berikut: perbaiki" ;; esac
  work=$(mktemp -d)
  mkdir "$work/sinyal-bootstrap"
  cp "$0" "$work/sinyal-bootstrap/bootstrap.sh"
  options="--lang $lang"
  [ "$dry_run" = no ] || options="$options --dry-run"
  if [ -d "${bundle:-/nowhere}" ]; then cp -R "$bundle/." "$work/sinyal-bootstrap/"; fi
  if [ -f "${bundle:-/nowhere}" ]; then cp "$bundle" "$work/sinyal-bootstrap/offline.tar.gz" && options="$options --offline offline.tar.gz"; fi
  if [ -n "$gateway" ]; then cp -R "$gateway" "$work/sinyal-bootstrap/gateway" && options="$options --gateway gateway"; fi
  far="d=\$(mktemp -d) && cd \$d && tar -xf - && cd sinyal-bootstrap && if [ \$(id -u) -ne 0 ]; then s='sudo -n'; fi; \$s sh bootstrap.sh $options; c=\$?; for f in gateway/*.csr; do [ -f \$f ] && mkdir -p ~/sinyal-requests && cp \$f ~/sinyal-requests/; done; cd / && rm -rf \$d; exit \$c"
  say "continues on $to" "lanjut di $to"
  # shellcheck disable=SC2029 # made here on purpose; it holds nothing but our own words
  tar -cf - -C "$work" sinyal-bootstrap | ssh "$to" "$far"
  code=$?
  # The request for a certificate was made there; the centre signs it.
  if [ -n "$gateway" ] && [ "$dry_run" = no ]; then
    ssh "$to" 'cd ~/sinyal-requests 2>/dev/null && tar -cf - *.csr' </dev/null >"$work/requests.tar" 2>/dev/null &&
      tar -xf "$work/requests.tar" -C "$gateway"
  fi
  exit $code
fi

# ---- which system ----

if [ -f "$prefix/etc/openwrt_release" ]; then
  system=openwrt
elif [ -f "$prefix/etc/debian_version" ]; then
  system=debian
else
  fail 1 "this is neither Raspberry Pi OS, Debian nor OpenWrt; nothing was changed" \
    "ini bukan Raspberry Pi OS, Debian, atau OpenWrt; tidak ada yang diubah"
fi
[ "$dry_run" = yes ] || [ "$(id -u)" -eq 0 ] ||
  fail 3 "only root may install. Next step: sudo sh bootstrap.sh …" "hanya root yang boleh memasang. Langkah berikut: sudo sh bootstrap.sh …"

# ---- the bundle, whole and unchanged ----

open_bundle() { # sets `folder` to where its files are
  folder=$bundle
  if [ -f "$bundle" ]; then
    work=$(mktemp -d)
    tar -xzf "$bundle" -C "$work" 2>/dev/null || fail 1 "$bundle is damaged. Next step: copy it again" "$bundle rusak. Langkah berikut: salin ulang"
    folder=
    for each in "$work"/*/SHA256SUMS; do folder=$(dirname "$each"); done
  fi
  [ -f "$folder/SHA256SUMS" ] || fail 1 "$bundle is no bundle of Sinyal. Next step: take sinyal-VERSION-offline.tar.gz" "$bundle bukan paket Sinyal. Langkah berikut: pakai sinyal-VERSI-offline.tar.gz"
  key=$prefix/etc/sinyal/release.pub
  if [ -f "$key" ]; then
    openssl dgst -sha256 -verify "$key" -signature "$folder/SHA256SUMS.sig" "$folder/SHA256SUMS" >/dev/null 2>&1 ||
      fail 1 "$bundle is not signed with $key; nothing was changed. Next step: take an official bundle" \
        "$bundle tidak ditandatangani dengan $key; tidak ada yang diubah. Langkah berikut: pakai paket resmi"
  fi
  (cd "$folder" && sha256sum -c SHA256SUMS >/dev/null 2>&1) ||
    fail 1 "$bundle is damaged or was tampered with; nothing was changed. Next step: copy it again" \
      "$bundle rusak atau telah diubah; tidak ada yang diubah. Langkah berikut: salin ulang"
}

installed_version() {
  case $system in
  debian) dpkg-query -W -f '${Status} ${Version}' sinyal 2>/dev/null | sed -n 's/^install ok installed //p' ;;
  openwrt) opkg list-installed sinyal 2>/dev/null | sed -n 's/^sinyal - //p' ;;
  esac
}

install_package() {
  if [ -z "$bundle" ]; then
    [ -z "$(installed_version)" ] || {
      say "Sinyal $(installed_version) is installed already" "Sinyal $(installed_version) sudah terpasang"
      return 0
    }
    case $system in
    debian) act apt-get install -y sinyal ;;
    openwrt) if command -v apk >/dev/null 2>&1; then act apk add sinyal; else act opkg install sinyal; fi ;;
    esac
    return
  fi
  open_bundle
  package=
  if [ "$system" = openwrt ]; then
    command -v opkg >/dev/null 2>&1 ||
      fail 1 "this OpenWrt takes .apk packages. Next step: build one from openwrt-feed with the SDK" \
        "OpenWrt ini memakai paket .apk. Langkah berikut: buat dari openwrt-feed dengan SDK"
    for each in "$folder"/sinyal_*.ipk; do package=$each; done
  else
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
      fail 1 "Python 3.11 or newer is missing. Next step: Raspberry Pi OS bookworm or newer" \
        "Python 3.11 atau lebih baru tidak ada. Langkah berikut: Raspberry Pi OS bookworm atau lebih baru"
    for each in "$folder"/sinyal_*.deb; do package=$each; done
  fi
  [ -f "$package" ] || fail 1 "the bundle has no package for $system" "paket ini tidak punya berkas untuk $system"
  version=$(basename "$package" | sed 's/^sinyal_\(.*\)_all\.[a-z]*$/\1/')
  if [ "$(installed_version)" = "$version" ]; then
    say "Sinyal $version is installed already" "Sinyal $version sudah terpasang"
    return 0
  fi
  # An old stick takes no newer release away; opkg sees to that by itself.
  there=$(installed_version)
  if [ "$system" = debian ] && [ -n "$there" ] && dpkg --compare-versions "$there" gt "$version"; then
    say "Sinyal $there is newer than $version of the bundle and stays. Next step to go back all the same: sinyal-release rollback" \
      "Sinyal $there lebih baru daripada $version di paket, jadi tetap dipakai. Bila tetap ingin kembali: sinyal-release rollback"
    return 0
  fi
  case $system in
  debian) act dpkg -i "$package" ;;
  openwrt) act opkg install "$package" ;;
  esac || fail 1 "the package manager refused Sinyal $version (see above)" "pengelola paket menolak Sinyal $version (lihat di atas)"
}

# ---- what makes it this gateway ----

place_gateway() { # a bundle of the centre installs itself: it knows its seal, and asks for the certificate
  [ -n "$gateway" ] || return 0
  [ -f "$gateway/install.sh" ] ||
    fail 2 "$gateway is no bundle of a gateway. Next step: sinyal-provision gateway new" \
      "$gateway bukan paket gerbang. Langkah berikut: sinyal-provision gateway new"
  set -- --etc "$prefix/etc/sinyal"
  [ "$dry_run" = no ] || set -- "$@" --dry-run
  before=$(cksum <"$prefix/etc/sinyal/sinyal.toml" 2>/dev/null)
  SINYAL_BOOTSTRAP=yes sh "$gateway/install.sh" "$@" ||
    fail 1 "the bundle $gateway was not installed (see above)" "paket $gateway tidak terpasang (lihat di atas)"
  [ "$before" = "$(cksum <"$prefix/etc/sinyal/sinyal.toml" 2>/dev/null)" ] || changed=yes
}

start_it() {
  case $system in
  debian)
    [ -d "$prefix/run/systemd/system" ] || return 0
    act systemctl enable --quiet sinyal.service
    if [ "$changed" = yes ]; then act systemctl restart sinyal.service; else act systemctl start sinyal.service; fi
    ;;
  openwrt)
    [ -x "$prefix/etc/init.d/sinyal" ] || [ "$dry_run" = yes ] || return 0
    # The package comes switched off; a box that was given its identity is meant to run.
    if [ -n "$gateway" ] && [ "$(uci -q get sinyal.service.enabled 2>/dev/null)" != 1 ]; then
      act uci set sinyal.service.enabled=1 && act uci commit sinyal
    fi
    act "$prefix/etc/init.d/sinyal" enable
    if [ "$changed" = yes ]; then act "$prefix/etc/init.d/sinyal" restart; else act "$prefix/etc/init.d/sinyal" start; fi
    ;;
  esac || fail 1 "the agent did not start. Next step: sinyal config check" "agen tidak jalan. Langkah berikut: sinyal config check"
}

changed=no
install_package
place_gateway
start_it
if [ "$dry_run" = yes ]; then
  say "nothing was changed" "tidak ada yang diubah"
else
  say "ready. Next step: sinyal status" "siap. Langkah berikut: sinyal status"
fi
