# bash completion for sinyal; written by docs/generate.py from the parser of the command line.
# Copy it to /usr/share/bash-completion/completions/sinyal, or read it in: . sinyal.bash
_sinyal() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  local command="" words="" takes="" at=1 word
  COMPREPLY=()
  while ((at < COMP_CWORD)); do
    word=${COMP_WORDS[at]}
    case "$word" in
      --config|--lang) ((at++)) ;;
      -*) ;;
      *)
        case "${command:+$command }$word" in
          "menu"|"run"|"demo"|"status"|"doctor"|"watch"|"budget"|"speedtest"|"modem"|"modem find"|"modem read"|"modem at"|"modem record"|"modem simulate"|"aim"|"gpio"|"buffer"|"buffer stats"|"buffer export"|"buffer resend"|"send"|"pause"|"outages"|"availability"|"page"|"accept"|"wipe"|"config"|"config check"|"config show"|"config set"|"config import-uci"|"identity"|"support-bundle"|"enrol"|"enrol request"|"enrol send"|"enrol install"|"enrol show"|"decode"|"version")
            command="${command:+$command }$word" ;;
        esac ;;
    esac
    ((at++))
  done
  case "$prev" in
    "--config") words=""; takes=1 ;;
    "--lang") words="id en"; takes=1 ;;
  esac
  case "$command $prev" in
    "demo --uplink-cut") words=""; takes=1 ;;
    "demo --for") words=""; takes=1 ;;
    "doctor --port") words=""; takes=1 ;;
    "speedtest --engine") words="https speedtest-cli passive"; takes=1 ;;
    "modem read --port") words=""; takes=1 ;;
    "modem at --port") words=""; takes=1 ;;
    "modem record --port") words=""; takes=1 ;;
    "modem simulate --link") words=""; takes=1 ;;
    "modem simulate --delay-ms") words=""; takes=1 ;;
    "modem simulate --urc") words=""; takes=1 ;;
    "modem simulate --hang-after") words=""; takes=1 ;;
    "modem simulate --flood-after") words=""; takes=1 ;;
    "modem simulate --unplug-after") words=""; takes=1 ;;
    "modem simulate --seed") words=""; takes=1 ;;
    "aim --port") words=""; takes=1 ;;
    "aim --minutes") words=""; takes=1 ;;
    "aim --sound") words="off bell buzzer"; takes=1 ;;
    "buffer export --format") words="jsonl csv"; takes=1 ;;
    "buffer export --from") words=""; takes=1 ;;
    "buffer export --to") words=""; takes=1 ;;
    "buffer export --since") words=""; takes=1 ;;
    "buffer export --until") words=""; takes=1 ;;
    "outages --from") words=""; takes=1 ;;
    "outages --to") words=""; takes=1 ;;
    "availability --month") words=""; takes=1 ;;
    "page --folder") words=""; takes=1 ;;
    "page --port") words=""; takes=1 ;;
    "page --address") words=""; takes=1 ;;
    "accept --output") words=""; takes=1 ;;
    "identity --port") words=""; takes=1 ;;
    "decode --format") words="jsonl csv influx"; takes=1 ;;
    "decode --gateway") words=""; takes=1 ;;
    "decode --count") words=""; takes=1 ;;
    "decode --subscribe") words=""; takes=1 ;;
    "decode --topic") words=""; takes=1 ;;
    "decode --tls-ca") words=""; takes=1 ;;
    "decode --tls-cert") words=""; takes=1 ;;
    "decode --tls-key") words=""; takes=1 ;;
  esac
  if [[ -z $takes ]]; then
    case "$command" in
      "") words="menu run demo status doctor watch budget speedtest modem aim gpio buffer send pause outages availability page accept wipe config identity support-bundle enrol decode version --config --lang --version" ;;
      "menu") words="--config --lang" ;;
      "run") words="--config --lang" ;;
      "demo") words="--config --lang --uplink-cut --for" ;;
      "status") words="--config --lang --json" ;;
      "doctor") words="--config --lang -v --verbose --json --port" ;;
      "watch") words="--config --lang --json" ;;
      "budget") words="--config --lang --json" ;;
      "speedtest") words="--config --lang --engine --yes --history --json" ;;
      "modem") words="find read at record simulate --config --lang" ;;
      "modem find") words="--config --lang --json" ;;
      "modem read") words="--config --lang --port --json --reveal --cells -v --verbose" ;;
      "modem at") words="--config --lang --port --yes --json" ;;
      "modem record") words="--config --lang --port --hide-cells --yes" ;;
      "modem simulate") words="--config --lang --link --echo --bytewise --delay-ms --urc --hang-after --flood-after --garbage --unplug-after --seed" ;;
      "aim") words="--config --lang --port --minutes --sound --traffic --yes --history --json" ;;
      "gpio") words="--config --lang --json" ;;
      "buffer") words="stats export resend --config --lang" ;;
      "buffer stats") words="--config --lang --json" ;;
      "buffer export") words="--config --lang --yes --format --unsent --public --from --to --since --until" ;;
      "buffer resend") words="--config --lang --json --yes" ;;
      "send") words="--config --lang --json" ;;
      "pause") words="--config --lang --json" ;;
      "outages") words="--config --lang --from --to --json" ;;
      "availability") words="--config --lang --month --json --csv" ;;
      "page") words="--config --lang --folder --serve --json --port --address" ;;
      "accept") words="--config --lang --output --print --restart --json" ;;
      "wipe") words="--config --lang" ;;
      "config") words="check show set import-uci --config --lang" ;;
      "config check") words="--config --lang --json" ;;
      "config show") words="--config --lang --json" ;;
      "config set") words="--config --lang" ;;
      "config import-uci") words="--config --lang --check" ;;
      "identity") words="--config --lang --reveal --json --port" ;;
      "support-bundle") words="--config --lang --with-cells --json" ;;
      "enrol") words="request send install show --config --lang" ;;
      "enrol request") words="--config --lang --new-key" ;;
      "enrol send") words="--config --lang --renew --new-key" ;;
      "enrol install") words="--config --lang" ;;
      "enrol show") words="--config --lang --json" ;;
      "decode") words="--config --lang --lines --format --public --gateway --dedupe --count --subscribe --topic --tls-ca --tls-cert --tls-key" ;;
      "version") words="--config --lang --json" ;;
    esac
    # Options are offered to who begins one; the next words stand before them.
    [[ $cur != -* ]] && words=" $words" && words=${words%% -*}
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _sinyal sinyal
