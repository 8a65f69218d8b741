#!/bin/sh
# First boot of Raspberry Pi OS bookworm: goes to the card's FAT partition as `firstrun.sh`, where rpi-imager would put
# its own; cmdline.txt gets at its end, in the same line:
#   systemd.run=/boot/firmware/firstrun.sh systemd.run_success_action=reboot systemd.unit=kernel-command-line.target
# Beside it: the unpacked offline bundle (folder `sinyal`) and this box's files (folder `gateway`).
set +e
boot=/boot/firmware
sh "$boot/sinyal/bootstrap.sh" --gateway "$boot/gateway" >"$boot/sinyal-first-boot.log" 2>&1
# Nothing in `gateway` is secret. The request for a certificate that appears there (*.csr) goes to the centre.
sed -i 's| systemd\.[^ ]*||g' "$boot/cmdline.txt"
rm -f "$boot/firstrun.sh"
exit 0
