#!/bin/sh
# Runs as a service beside the agent, under the systemd of the User-Mode Linux; each line says what it saw.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
DROP_IN=/run/systemd/system/sinyal.service.d

saw() { echo "SAW $*"; }
property() { systemctl show -P "$1" sinyal.service; }
wait_for() { # SECONDS COMMAND…
  left=$(($1 * 5))
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || return 1
    sleep 0.2
  done
}
logged() { journalctl -u sinyal.service -o cat | grep -q "$1"; }
restarted_to() { [ "$(property NRestarts)" -ge "$1" ] && [ "$(property ActiveState)" = active ]; }

id sinyal
saw groups "$(id -nG sinyal)"
systemctl start sinyal.service
saw start "$(property ActiveState)" "$(property SubState)"
wait_for 60 test -s /run/sinyal/status.json
wait_for 60 logged 'readings go to'
saw state "$(stat -c '%U %a' /var/lib/sinyal) $(stat -c '%U %a' /var/lib/sinyal/sinyal.db)"
saw socket "$(stat -c '%U %G %a' /run/sinyal/control.sock)"
saw status "$(grep -o '"modem_state": "[a-z]*"' /run/sinyal/status.json)"

# Its own view of the files: only the state can be written.
inside() { nsenter --target "$(property MainPID)" --mount sh -c "$1" 2>&1; }
saw write-state "$(inside 'touch /var/lib/sinyal/probe && rm /var/lib/sinyal/probe && echo yes')"
saw write-etc "$(inside 'touch /etc/sinyal/probe && echo yes')"
saw write-opt "$(inside 'touch /opt/sinyal/probe && echo yes')"
# Of /sys only the devices, for the USB switch of the modem.
saw write-devices "$(inside 'echo change >/sys/devices/virtual/tty/tty0/uevent && echo yes')"
saw write-kernel "$(inside 'echo 1 >/sys/kernel/mm/swap/vma_ra_enabled && echo yes')"
saw see-home "$(inside 'ls -A /root | wc -l')"
saw capabilities "$(grep CapEff /proc/"$(property MainPID)"/status)" "$(grep NoNewPrivs /proc/"$(property MainPID)"/status)" \
  "$(grep 'Seccomp:' /proc/"$(property MainPID)"/status)"

# A hook of the system reaches it through the sandbox's socket.
/usr/lib/sinyal/sinyal-event uplink-up wan
wait_for 30 logged 'uplink-up wan'
saw event "$(logged 'uplink-up wan' && echo yes)"

# It may ask for what only root may do: here something that ends nothing.
systemctl start sinyal-power@daemon-reload.path
setpriv --reuid sinyal --clear-groups touch /run/sinyal/ask-daemon-reload
wait_for 30 test ! -e /run/sinyal/ask-daemon-reload
saw asked "$([ -e /run/sinyal/ask-daemon-reload ] || echo gone) $(systemctl show -P Result sinyal-power@daemon-reload.service)"

# The device policy, from within its group: a serial port of this class may be opened (there is none: ENXIO or
# EIO), the mouse and the kernel's log may not.
group="$(find /sys/fs/cgroup -type d -name sinyal.service | head -1)"
mknod /dev/test-serial c 4 64
mknod /dev/test-mouse c 13 63
open_device() { sh -c "echo \$\$ >$group/cgroup.procs; : <$1" 2>&1 | grep -q 'not permitted' && echo closed || echo open; }
saw devices "serial $(open_device /dev/test-serial) mouse $(open_device /dev/test-mouse) kmsg $(open_device /dev/kmsg)"
wait_for 60 logged 'modem answers at'
saw modem "$(logged 'modem answers at' && echo yes)"

# As shipped, but in a hurry.
mkdir -p $DROP_IN
printf '[Service]\nRestartSec=200ms\nWatchdogSec=15\n' >$DROP_IN/test.conf
systemctl daemon-reload
systemctl restart sinyal.service

# The watchdog: a process that stands still is killed and started again.
before="$(property MainPID)"
saw watchdog-set "$(property WatchdogUSec)"
kill -STOP "$before"
wait_for 90 restarted_to 1
saw watchdog "$(property NRestarts)" "$([ "$(property MainPID)" != "$before" ] && echo another) $(property ActiveState)"
saw watchdog-log "$(journalctl -o cat | grep -m1 -o 'Watchdog timeout')"

# Whatever ends it, it comes back.
for times in 2 3 4; do
  kill -KILL "$(property MainPID)"
  wait_for 60 restarted_to $times
done
saw killed-often "$(property NRestarts) $(property ActiveState)"
saw memory "$(grep VmRSS /proc/"$(property MainPID)"/status)"

systemctl stop sinyal.service
saw stop "$(property Result) $(property ActiveState)"
journalctl -u sinyal.service -o cat | sed 's/^/LOG /'
saw end
busybox poweroff -f
