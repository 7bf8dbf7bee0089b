# What the units of floe may do, as systemd.exec(5) has it. Each exception says what needs it.
let
  # What neither program does.
  common = {
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateTmp = true;
    ProtectClock = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectSystem = "strict";
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    UMask = "0077";
  };
in {
  # The agent is root, since it asks systemd to switch the machine; what it does itself is to write down where it is, to
  # unpack what was verified, and to move the system profile. Builds, switches and the commands of health checks run in
  # transient units of their own, which systemd starts outside of this. So it keeps a fault of the agent from doing harm;
  # it does not hold somebody who has taken the agent over, since who may ask systemd may do everything.
  agent =
    common
    // {
      StateDirectory = "floe";
      StateDirectoryMode = "0700";
      # Outcomes of switches are written here by other units, also while the agent is away.
      RuntimeDirectory = "floe";
      RuntimeDirectoryMode = "0755";
      RuntimeDirectoryPreserve = true;
      ReadWritePaths = [
        # Profiles and garbage collector's roots, by Nix itself. Not through its daemon: the way back must not need one.
        "/nix"
        # The entry of a candidate, chosen for one boot.
        "-/boot"
      ];
      # Instead of ProtectKernelTunables and ProtectControlGroups, which bring along a /proc of the unit's own
      # (MountAPIVFS): in a container that may show another boot id than the guard's, and the journal goes by it too.
      ReadOnlyPaths = ["/proc/sys" "-/proc/sysrq-trigger" "/sys"];
      # Nix makes the store writable for itself, in a mount namespace of its own (LocalStore::makeStoreWritable).
      RestrictNamespaces = "mnt";
      SystemCallFilter = ["@system-service" "mount" "~@keyring @memlock @resources @setuid"];
      SystemCallErrorNumber = "EPERM";
      # systemd asks for CAP_SYS_ADMIN of who starts a unit, logind for CAP_SYS_BOOT of who reboots.
      CapabilityBoundingSet = ["CAP_SYS_ADMIN" "CAP_SYS_BOOT" "CAP_DAC_OVERRIDE" "CAP_FOWNER" "CAP_CHOWN" "CAP_KILL"];
      RestrictAddressFamilies = ["AF_UNIX" "AF_INET" "AF_INET6" "AF_NETLINK"];
      # grub-reboot asks grub-probe which disk /boot is on.
      DevicePolicy = "closed";
      DeviceAllow = ["block-* r"];
    };

  # The control plane listens, asks AWS, and keeps everything below /var/lib/<name>.
  control = name:
    common
    // {
      StateDirectory = name;
      StateDirectoryMode = "0700";
      CapabilityBoundingSet = "";
      DevicePolicy = "closed";
      PrivateDevices = true;
      PrivateUsers = true;
      ProcSubset = "pid";
      ProtectControlGroups = true;
      ProtectKernelTunables = true;
      ProtectProc = "invisible";
      RestrictAddressFamilies = ["AF_UNIX" "AF_INET" "AF_INET6"];
      RestrictNamespaces = true;
      SystemCallFilter = ["@system-service" "~@privileged @resources"];
      SystemCallErrorNumber = "EPERM";
    };
}
