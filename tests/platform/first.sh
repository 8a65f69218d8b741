#!/bin/sh
# The first program of the User-Mode Linux: this machine's own files, with TREE over them and memory over both,
# become the root in which the real systemd starts. Nothing of this machine is written to.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
TREE="$(tr ' ' '\n' </proc/cmdline | sed -n 's/^TREE=//p')"
mount -t tmpfs -o size=200m memory /mnt
mkdir /mnt/upper /mnt/work /mnt/root
busybox insmod "/usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root || busybox poweroff -f
cp -R "$TREE/." /mnt/root/
# A machine of its own: no service of this one is started in it.
rm -rf /mnt/root/etc/systemd/system/*.wants /mnt/root/etc/machine-id /mnt/root/etc/fstab /mnt/root/.dockerenv
touch /mnt/root/etc/machine-id /mnt/root/etc/fstab
# It would tidy up this machine's /tmp, file by file.
ln -s /dev/null /mnt/root/etc/systemd/system/systemd-tmpfiles-setup.service
mount --bind /proc /mnt/root/proc
mount -t devtmpfs dev /mnt/root/dev
mount -t tmpfs tmp /mnt/root/tmp
chroot /mnt/root systemd-sysusers sinyal.conf
chroot /mnt/root systemd-tmpfiles --create sinyal.conf
cd /mnt/root || exit 1
pivot_root . mnt && exec chroot . /lib/systemd/systemd --unit=test.target --show-status=false
