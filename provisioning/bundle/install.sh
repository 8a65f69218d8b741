#!/bin/sh
# Pasang isi folder ini di gerbang: sh install.sh   (install this gateway's bundle)
#   --dry-run            only check and say what would be done
#   --ca-sha256 HEX      refuse an authority with another fingerprint
#   --new-ca             take another authority than the one that is installed
#   --etc FOLDER         configuration folder (/etc/sinyal)
# Running it again changes nothing. Nothing in this folder is secret; the key is made on the gateway.
set -eu

etc=/etc/sinyal
dry_run=""
new_ca=""
wanted_ca=""

fail() { # Indonesian, English
  printf 'sinyal: %s\n        %s\n' "$1" "$2" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) dry_run=yes ;;
    --new-ca) new_ca=yes ;;
    --ca-sha256) shift; wanted_ca="${1:-}" ;;
    --etc) shift; etc="${1:-}" ;;
    *) fail "pilihan $1 tidak dikenal" "option $1 is not known" ;;
  esac
  shift
done

cd "$(dirname "$0")"
command -v openssl >/dev/null 2>&1 || fail \
  "openssl belum terpasang: apt-get install openssl, atau opkg install openssl-util" \
  "openssl is not installed"

# Nothing of the folder is used before it is known to be what the centre made.
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
for file in * .[!.]*; do
  case "$file" in
    '*' | '.[!.]*' | SHA256SUMS | SHA256SUMS.sig | *.csr) continue ;;
    ca.pem) ;;
    *.pem) continue ;;
  esac
  grep -q "^[0-9a-f]\{64\}  $file\$" SHA256SUMS || fail \
    "berkas $file bukan bagian paket ini" "$file does not belong to this bundle"
done
is_sealed() {
  openssl x509 -in ca.pem -noout -pubkey >"$scratch/key" &&
    openssl dgst -sha256 -verify "$scratch/key" -signature SHA256SUMS.sig SHA256SUMS
}
is_sealed >/dev/null 2>&1 || fail \
  "segel paket salah: paket telah diubah; minta paket baru dari pusat" \
  "the seal is wrong: the bundle was changed; ask the centre for a new one"
sha256sum -c SHA256SUMS >/dev/null 2>&1 || fail \
  "isi paket telah diubah atau rusak; minta paket baru dari pusat" \
  "the bundle was changed or is damaged; ask the centre for a new one"

ca="$(openssl x509 -in ca.pem -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')"
if [ -n "$wanted_ca" ] && [ "$ca" != "$(printf %s "$wanted_ca" | tr -d ' :' | tr a-f A-F)" ]; then
  fail "otoritas paket ini bukan otoritas pusat" "the authority of this bundle is another one"
fi
if [ -f "$etc/tls/ca.pem" ] && ! cmp -s ca.pem "$etc/tls/ca.pem" && [ -z "$new_ca" ]; then
  fail "gerbang ini sudah memakai otoritas lain; bila memang diganti: --new-ca" \
    "this gateway has another authority already; if it is meant: --new-ca"
fi

id="$(sed -n 's/^id = "\(.*\)"$/\1/p' sinyal.toml | head -1)"
printf 'Gerbang / gateway: %s\n' "$id"
printf 'Otoritas / authority: %s (samakan dengan label / compare with the label)\n' \
  "$(printf %s "$ca" | cut -c1-16 | sed 's/..../& /g; s/ $//')"

if [ -n "$dry_run" ]; then
  printf 'Paket baik; tidak ada yang diubah. / The bundle is good; nothing was changed.\n'
  exit 0
fi

if ! command -v sinyal >/dev/null 2>&1; then
  # The offline bundle, unpacked beside this folder or around it.
  for bootstrap in ../bootstrap.sh ../sinyal-*/bootstrap.sh; do
    if [ -f "$bootstrap" ]; then
      sh "$bootstrap" --offline "$(dirname "$bootstrap")"
      break
    fi
  done
fi
command -v sinyal >/dev/null 2>&1 || fail \
  "program sinyal belum terpasang: pasang paketnya dulu, atau taruh isi sinyal-VERSI-offline.tar.gz di samping folder ini; lalu ulangi" \
  "sinyal is not installed: install its package, or unpack sinyal-VERSION-offline.tar.gz beside this folder; then repeat"

put() { # file target mode
  cmp -s "$1" "$2" && return 0
  cp "$1" "$2.new"
  # Where the agent has a user of its own, nobody else reads what may come to hold a PIN.
  if chgrp sinyal "$2.new" 2>/dev/null; then chmod "$3" "$2.new"; else chmod 644 "$2.new"; fi
  mv "$2.new" "$2"
  printf '%s\n' "$2"
  changed=yes
}

changed=""
mkdir -p "$etc/tls"
if [ -f "$etc/sinyal.toml" ] && ! cmp -s sinyal.toml "$etc/sinyal.toml"; then
  cp "$etc/sinyal.toml" "$etc/sinyal.toml.last-good"
fi
put ca.pem "$etc/tls/ca.pem" 644
put sinyal.toml "$etc/sinyal.toml" 640
sync

if [ -f "$id.pem" ] && ! cmp -s "$id.pem" "$etc/tls/gateway.pem"; then
  # The second visit: the centre has put the certificate beside the bundle.
  # The agent finds it by itself.
  SINYAL_CONFIG="$etc/sinyal.toml" sinyal enrol install "$id.pem"
elif [ -f "$etc/tls/gateway.pem" ]; then
  printf 'Sertifikat sudah ada. / There is a certificate already.\n'
elif [ -f "$id.csr" ]; then
  printf 'Permintaan sudah ada: %s / the request is there already\n' "$id.csr"
else
  SINYAL_CONFIG="$etc/sinyal.toml" sinyal enrol request "$id.csr"
fi

# bootstrap.sh starts the agent itself.
if [ -n "$changed" ] && [ -z "${SINYAL_BOOTSTRAP:-}" ]; then
  printf 'Langkah berikut / next step: service sinyal restart; sinyal status\n'
fi
