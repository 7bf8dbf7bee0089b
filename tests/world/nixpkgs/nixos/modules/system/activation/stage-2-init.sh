#!/bin/sh
# Stand-in for NixOS' stage 2, PID 1 between initrd and systemd, in the order of nixos/modules/system/boot/stage-2-init.sh:
# make the store read-only but for Nix, activate, record what was booted, hand over. So units, /etc and /run/current-system are those of the system that was
# booted before systemd reads its first unit.
systemConfig=@out@
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
echo "<<< NixOS Stage 2 >>>"
# boot.readOnlyNixStore, which is on unless somebody turns it off. Nix makes it writable for itself.
mount --bind /nix/store /nix/store
mount -o remount,ro,bind /nix/store
"$systemConfig/activate"
ln -sfn "$systemConfig" /run/booted-system
ln -sfn /run/booted-system /nix/var/nix/gcroots/booted-system
exec "$systemConfig/systemd/lib/systemd/systemd" "$@"
