#!/bin/sh
# Stand-in of NixOS' switch-to-configuration: the verbs, order of steps, messages, exit codes, lock and lists of the
# real program (pkgs/by-name/sw/switch-to-configuration-ng/src/src/main.rs), with which an older form of this script
# was compared case by case. Left out: fstab and swap, templates, sockets, user managers, restart of systemd itself.
# Exit codes: 0; 1 usage, check, boot loader; 2 activation failed (or not NixOS); 4 a unit failed; 11 locked; 100 other init.
out=@out@
verb=${1-}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
run=/run/nixos
new=$out/etc/systemd/system
rc=0

say() { echo "$*" >&2; }
has() { case " $2 " in *" $1 "*) ;; *) false ;; esac; }
# shellcheck disable=SC2086  # lists of units are words
names() { printf '%s\n' $1 | sort -fu | paste -sd, | sed 's/,/, /g'; }
# tell VERB UNITS [ADJECTIVE]
# shellcheck disable=SC2086,SC2116
tell() { [ -z "$(echo $2)" ] || say "$1 the following${3-} units: $(names "$2")"; }

case $verb in
  check | switch | boot | test | dry-activate) ;;
  *)
    say "Usage: switch-to-configuration [check|switch|boot|test|dry-activate]
check:        pre-switch checks only
switch:       boot default, and activate now
boot:         boot default only
test:         activate now, boot default stays
dry-activate: say what activation would do
"
    exit 1
    ;;
esac
[ "$(id -u)" = 0 ] || { say "Error: switch-to-configuration must be run as the root user" && exit 1; }
grep -q ^ID=nixos /etc/os-release 2>/dev/null || [ -e /etc/NIXOS ] || { say "This is not a NixOS installation!" && exit 2; }
export NIXOS_ACTION="$verb"
mkdir -p $run
# No child keeps the lock (9>&-): after a kill it is free although the activation script may still run.
exec 9>>$run/switch-to-configuration.lock
flock @lockWaits@ 9 || { say "Could not acquire lock" && exit 11; }
log() { logger -t nixos -p "user.$1" "$2"; }

if [ "${NIXOS_NO_CHECK-}" != 1 ]; then
  @preSwitchCheck@ "$out" "$verb" 9>&- || { say "Pre-switch checks failed" && exit 1; }
fi
[ "$verb" != check ] || exit 0
case $verb in
  switch | boot) @installBootLoader@ "$out" 9>&- || { say "Failed to install bootloader" && exit 1; } ;;
esac
[ "$verb" != boot ] || exit 0
if [ -e /run/current-system ] && ! cmp -s /run/current-system/init-interface-version "$out/init-interface-version"; then
  say "Warning: the new NixOS configuration has an ‘init’ that is
incompatible with the current configuration.  The new configuration
won't take effect until you reboot the system.
"
  exit 100
fi

# --- what systemd knows: "unit active-state sub-state", one a line, without inactive ones
units() {
  systemctl list-units --all --plain --no-legend --no-pager | awk '$3 != "inactive" { print $1, $3, $4 }'
}
# job VERB UNIT… : one job each, all at once; prints which failed
job() {
  operation=$1
  shift
  for unit; do
    { systemctl "$operation" "$unit" >/dev/null 2>&1 || echo "Failed to $operation $unit"; } 9>&- &
  done
  wait
}

# --- unit files
# yes FILE SECTION KEY DEFAULT
yes() {
  case $(awk -v s="[$2]" -v k="$3=" -v v="$4" '
    /^\[/ { inside = $0 == s; next }
    inside && index($0, k) == 1 { v = substr($0, length(k) + 1) }
    END { print v }' "$1") in
    1 | yes | true | on) ;;
    *) false ;;
  esac
}
# part restart|reload FILE : the lines of which a change means that
part() {
  awk -v p="$1" '
    /^\[/ { s = $0; next }
    s == "[Install]" || !/=/ { next }
    { k = substr($0, 1, index($0, "=") - 1); w = "restart" }
    s == "[Unit]" && k ~ /^(Description|Documentation|OnFailure|OnSuccess|OnFailureJobMode|IgnoreOnIsolate|StopWhenUnneeded|RefuseManualStart|RefuseManualStop|AllowIsolate|CollectMode|SourcePath)$/ { next }
    s == "[Unit]" && k == "X-Reload-Triggers" || s == "[Service]" && k == "ExecReload" { w = "reload" }
    w == p { print s k "=" $0 }' "$2" | sort -s -t= -k1,1
}
# gone UNIT : not in the new system, or masked there
gone() { [ ! -e "$new/$1" ] || [ "$(readlink -f "$new/$1")" = /dev/null ]; }
record() { [ "$verb" = dry-activate ] || echo "$2" >>"$run/$1-list"; }
recorded() { cat "$run/$1-list" 2>/dev/null; }
# changed UNIT [restart] : puts a changed unit on one of the lists
changed() {
  if yes "$new/$1" Service X-ReloadIfChanged no; then
    reload="$reload $1"
    record reload "$1"
  elif ! yes "$new/$1" Service X-RestartIfChanged yes || yes "$new/$1" Unit RefuseManualStop no || yes "$new/$1" Unit X-OnlyManualStart no; then
    skip="$skip $1"
  elif [ "${2-}" ] || ! yes "$new/$1" Service X-StopIfChanged yes; then
    restart="$restart $1"
    record restart "$1"
  else
    stop="$stop $1"
    start="$start $1"
    record start "$1"
  fi
}

old=$(readlink /etc/static)/systemd/system
before=$(units)
stop='' skip='' quiet=''
start=$(recorded start) restart=$(recorded restart) reload=$(recorded reload)
# A host that was never activated (NixOS' own has always been, at boot).
[ -d "$old" ] || { start="$start multi-user.target" && quiet=multi-user.target; }
for unit in $(printf '%s\n' "$before" | awk '$2 == "active" || $2 == "activating" { print $1 }'); do
  [ -e "$old/$unit" ] || continue
  if gone "$unit"; then
    ! yes "$old/$unit" Unit X-StopOnRemoval yes || stop="$stop $unit"
    continue
  fi
  case $unit in
    *.target)
      # New services come up because the active targets that want them are started once more.
      yes "$new/$unit" Unit RefuseManualStart no || yes "$new/$unit" Unit X-OnlyManualStart no || {
        start="$start $unit"
        quiet="$quiet $unit"
        record start "$unit"
      }
      continue
      ;;
  esac
  if [ "$(part restart "$old/$unit")" != "$(part restart "$new/$unit")" ]; then
    changed "$unit"
  elif [ "$(part reload "$old/$unit")" != "$(part reload "$new/$unit")" ] && [ "$(part reload "$new/$unit")" ]; then
    reload="$reload $unit"
    record reload "$unit"
  fi
done
loud() { for unit in $1; do has "$unit" "$quiet" || echo "$unit"; done; }

if [ "$verb" = dry-activate ]; then
  tell "would stop" "$stop"
  tell "would NOT stop" "$skip" " changed"
  say "would activate the configuration..."
  "$out/dry-activate" "$out" 9>&-
  tell "would reload" "$reload"
  tell "would restart" "$restart"
  tell "would start" "$(loud "$start")"
  exit 0
fi

# --- the switch itself
# shellcheck disable=SC2086  # lists of units are words
perform() {
  log info "switching to system configuration $out"
  if [ "$stop" ]; then
    tell stopping "$stop"
    job stop $stop >/dev/null
  fi
  tell "NOT restarting" "$skip" " changed"
  say "activating the configuration..."
  "$out/activate" "$out" 9>&- || {
    say "Failed to run activate script"
    rc=2
  }
  for unit in $(recorded activation-restart); do
    if printf '%s\n' "$before" | grep -qF "$unit "; then
      changed "$unit" restart
    else
      start="$start $unit"
      record start "$unit"
    fi
  done
  for unit in $(recorded activation-reload); do
    has "$unit" "$restart $stop" || {
      reload="$reload $unit"
      record reload "$unit"
    }
  done
  rm -f "$run"/activation-re*-list
  systemctl reset-failed
  systemctl daemon-reload
  say "restarting sysinit-reactivation.target"
  job restart sysinit-reactivation.target >/dev/null
  bad=
  if [ "$reload" ]; then
    tell reloading "$reload"
    bad=$bad$(job reload $reload)
    rm -f "$run/reload-list"
  fi
  if [ "$restart" ]; then
    tell restarting "$restart"
    bad=$bad$(job restart $restart)
    rm -f "$run/restart-list"
  fi
  tell starting "$(loud "$start")"
  bad=$bad$(job start $(printf '%s\n' $start | sort -u))
  rm -f "$run/start-list"
  [ -z "$bad" ] || {
    say "$bad"
    rc=4
  }
}
perform

# --- what came of it: every failed unit of the host counts, also one that is not ours
sleep 0.25 # the window in which the real program waits for the bus to be quiet
after=$(units)
failed=
for unit in $(printf '%s\n' "$after" | awk '$2 == "failed" || $3 == "auto-restart" { print $1 "," $2 }'); do
  case $unit in
    *,failed) ;;
    *) [ "$(systemctl show -p ExecMainStatus --value "${unit%,*}")" != 0 ] || continue ;;
  esac
  failed="$failed ${unit%,*}"
done
fresh=$({
  printf '%s\n' "$before" | sed 's/^/b /'
  printf '%s\n' "$after" | sed 's/^/a /'
} | awk '
  $1 == "b" { old[$2] = 1 }
  $1 == "a" && !($2 in old) && $3 != "failed" && $2 !~ /[.]scope$/ { print $2 }' |
  while read -r unit; do has "$unit" "$failed" || printf '%s\n' "$unit"; done)
[ -z "$fresh" ] || say "the following new units were started: $(names "$fresh")"
if [ "$failed" ]; then
  say "warning: the following units failed: $(names "$failed")"
  rc=4
  # shellcheck disable=SC2086
  systemctl status --no-pager --full $failed
fi
if [ $rc = 0 ]; then
  log info "finished switching to system configuration $out"
else
  log err "switching to system configuration $out failed (status $rc)"
fi
exit $rc
