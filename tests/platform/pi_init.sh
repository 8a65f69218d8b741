#!/bin/busybox sh
# The first program of the emulated Raspberry Pi 3B: mounts what Linux offers, runs the checks, and ends the machine.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t debugfs debug /sys/kernel/debug
mkdir -p /run/sinyal /tmp
cd /
PYTHONPATH=/site SINYAL_LANG=en python3.11 -u /pi_checks.py
for module in /modules/*.ko; do insmod "$module" || echo "SAW module-refused $module"; done
mount -t configfs config /sys/kernel/config
PYTHONPATH=/site SINYAL_LANG=en python3.11 -u /usb_checks.py
echo "SAW end"
sleep 3600 # whoever started this machine ends it: it cannot end itself
