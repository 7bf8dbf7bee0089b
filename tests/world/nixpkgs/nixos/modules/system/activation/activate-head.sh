#!/bin/bash
# Stand-in for NixOS' activation script (nixos/modules/system/activation/activation-script.nix, etc/setup-etc.pl).
# A failing snippet does not end it; /run/current-system is set last.
systemConfig=@out@
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 0022
status=0
trap 'status=1 snippetstatus=$?' ERR
mkdir -p /etc/systemd /run /var/lib

# --- etc: /etc/static is the new tree in one step, the links in /etc go through it
ln -sfn "$systemConfig/etc" /etc/static.new
mv -T /etc/static.new /etc/static
find /etc -type l -lname '/etc/static/*' -not -path '/etc/static/*' | while read -r link; do
  [ -e "$link" ] || [ -L "/etc/static/${link#/etc/}" ] || { rm "$link"; echo "removed $link"; }
done
(cd /etc/static/ && find . -path ./systemd/system -prune -o -type l -print) | while read -r file; do
  file=${file#./}
  if [ -e "/etc/static/$file.mode" ]; then
    install -D -m "$(cat "/etc/static/$file.mode")" "/etc/static/$file" "/etc/$file"
  elif [ "$(readlink "/etc/$file")" != "/etc/static/$file" ]; then
    mkdir -p "$(dirname "/etc/$file")"
    ln -sfn "/etc/static/$file" "/etc/$file.new" && mv -T "/etc/$file.new" "/etc/$file"
  fi
done
# All units come from the system: one link.
ln -sfn /etc/static/systemd/system /etc/systemd/system
