//! What `floe init` writes into the files of a new repository. Words only; which files
//! are written, and that none is overwritten, is `init`'s.

use floe_proto::id::{Fleet, Role};

/// `floe.toml`, with the release key at `key`.
pub(super) fn fleet_file(fleet: &Fleet, key: &str, escrow: bool) -> String {
    format!(
        r#"fleet = "{fleet}"

# The control plane, as hosts and operators reach it.
server = "https://127.0.0.1:7443"

[signing]
# Signs bundles. Keep it out of version control, and keep a copy.
key = "{key}"

[secrets]
# Whether they are sealed to the control plane too, so that hosts that come by themselves get theirs.
# It can read them then, and forge none.
escrow = {escrow}

[operator]
# ca.pem, cert.pem and key.pem; `floe serve` writes the first operator's there.
credentials = ".floe/operator/admin"
"#
    )
}

/// `floe.lock`, in which the pins are still to be said; `release` is the one of NixOS that
/// the hosts run, such as `24.11`.
pub(super) fn lock_stub(release: Option<&str>) -> String {
    let wanted = release.map(|release| {
        format!("# Your images are NixOS {release}: COMMIT is one of the branch nixos-{release}.\n")
    });
    format!("{LOCK_BEGIN}{}{LOCK_END}", wanted.unwrap_or_default())
}

const LOCK_BEGIN: &str = r#"schema = 1

# Hosts build with exactly this nixpkgs; channels are never looked at. The hash is what
# `nix-prefetch-url --unpack URL` prints.
[pins]

"#;

const LOCK_END: &str = r#"# [pins.nixpkgs]
# url = "https://github.com/NixOS/nixpkgs/archive/COMMIT.tar.gz"
# sha256 = "…"
# follow = "nixos-24.11"    # a branch, or the URL of a channel: `floe lock update` goes there

# The agent's NixOS module, for <floe/agent.nix>: a copy of the directory nixos/ of floe's
# own repository. A tree of this repository travels in every bundle.
#
# [pins.floe]
# path = "pins/floe"
"#;

/// `host.toml` of the example role.
pub(super) const HOST_EXAMPLE: &str = r#"# The hosts' own: aarch64-linux on Graviton.
system = "x86_64-linux"

[health]
# For how long all checks must hold after a switch.
soak = "10s"

[[health.checks]]
unit = "multi-user.target"

# What the hosts are for:
# [[health.checks]]
# http = "http://127.0.0.1:8080/healthz"
# timeout = "5s"

[activation]
# From the switch to the verdict; after that the host goes back by itself.
probation = "90s"
"#;

/// `configuration.nix` of the example role.
pub(super) const CONFIGURATION_EXAMPLE: &str = r#"{ config, pkgs, ... }:
{
  # For EC2; elsewhere import what fits your machines.
  imports = [ <nixpkgs/nixos/modules/virtualisation/amazon-image.nix> ./floe.nix ];

  # Don't replace configuration.nix with user data on boot
  systemd.services.amazon-init.enable = false;

  system.stateVersion = "24.11";
}
"#;

/// `floe.nix` of the example role.
pub(super) fn agent_example(fleet: &Fleet, role: &Role, system: &str) -> String {
    format!(
        r#"# What makes a machine a host of this role. Without it, a push is refused: the agent of
# the new system is the one that confirms.
{{ ... }}:
{{
  imports = [ <floe/agent.nix> ];

  services.floe-agent = {{
    enable = true;
    # The agent's release for the hosts' system, where they can download it; nixos/release of floe's
    # repository makes it and prints this.
    release = {{
      url = "https://…/floe-agent-VERSION-{system}.tar.gz";
      sha256 = "…";
    }};
    settings = {{
      fleet = "{fleet}";
      role = "{role}";
      # As `server` in floe.toml.
      control_plane = "https://127.0.0.1:7443";
    }};
  }};
}}
"#
    )
}
