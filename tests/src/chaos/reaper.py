"""Strikes once the activation's journal has been written so often, and the target is there.

Arguments: the number of the write to wait for, seconds to wait after that, a target. Says `watching`, then what it
struck in which phase. Ends when its stdin does.
"""
import glob
import os
import re
import select
import sys
import time

write, delay, target = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
UNITS = "/sys/fs/cgroup/system.slice/"
GROUPS = {
    "agent": UNITS + "floe-agent.service",
    "switch": UNITS + "nixos-rebuild-switch-to-configuration.service",
    "build": UNITS + "floe-build-*.service",
    "guard": UNITS + "floe-guard-*.service",
}
# The agent is made to stay away only where a guard will come in its place.
TRIAL = {"trying", "probation"}
GONE = "/run/systemd/system/floe-agent.service.d"


def journal():
    """How often it was written, and what is being done."""
    try:
        with open("/var/lib/floe/journal/current") as file:
            head, body = file.read().split("\n", 1)
    except (FileNotFoundError, ValueError):
        return 0, "none"
    phase = re.search(r'"phase":\{?"([a-z-]+)"', body)
    return int(head.split()[2]), phase[1] if phase else "unknown"


def await_(condition):
    while not condition():
        if select.select([sys.stdin], [], [], 0.001)[0]:
            sys.exit(1)


def groups(name):
    def has_processes(group):
        try:
            with open(group + "/cgroup.procs") as file:
                return bool(file.read())
        except OSError:
            return False
    return [group for group in glob.glob(GROUPS[name]) if has_processes(group)]


def kill(name):
    phase = journal()[1]
    for group in groups(name):
        with open(group + "/cgroup.kill", "w") as file:
            file.write("1")
    print("struck", phase, flush=True)


print("watching", flush=True)
await_(lambda: journal()[0] >= write)
if target == "power":
    time.sleep(delay)
    print("struck", journal()[1], flush=True)
elif target == "guard":
    await_(lambda: journal()[1] in TRIAL)
    os.makedirs(GONE, exist_ok=True)
    with open(GONE + "/gone.conf", "w") as file:
        file.write("[Unit]\nConditionPathExists=/nowhere\n")
    os.system("systemctl daemon-reload")
    kill("agent")
    await_(lambda: groups("guard"))
    time.sleep(delay)
    kill("guard")
else:
    await_(lambda: groups(target))
    time.sleep(delay)
    kill(target)
