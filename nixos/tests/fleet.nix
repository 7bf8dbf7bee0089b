# What the stories have in common: a control plane, the hosts www1 and www2, and the system that is pushed to them.
#
#   tell {
#     name = "push";
#     next = { … };           # NixOS module: what the pushed system has beyond that of the hosts
#     activation = "…";       # more of [activation] in host.toml
#     script = "…";           # Python: `push()` pushes, see below
#   }
#
# Everything is pushed as a closure that was built outside of the machines, so that nothing in them is evaluated, built
# or downloaded. Hosts of a role run one system, so it may say neither a host's name nor its address: those come by DHCP.
{
  pkgs,
  packages,
}: {
  name,
  next,
  activation ? "",
  script,
}: let
  role = pkgs.linkFarm "role" {
    "configuration.nix" = pkgs.writeText "configuration.nix" "{ }";
    "host.toml" = pkgs.writeText "host.toml" ''
      system = "${pkgs.stdenv.hostPlatform.system}"

      [health]
      soak = "2s"

      [[health.checks]]
      http = "http://127.0.0.1:8080/healthz"

      [activation]
      probation = "60s"
      ${activation}
    '';
  };

  host = {
    lib,
    pkgs,
    ...
  }: {
    imports = [../agent.nix];

    services.floe-agent = {
      enable = true;
      package = packages.floe-agent;
      settings = {
        fleet = "fossable.org";
        role = "www";
        control_plane = "https://control:7443";
      };
    };

    # The story changes what it serves.
    environment.etc."website/healthz".text = lib.mkDefault "ok";
    systemd.services.website = {
      wantedBy = ["multi-user.target"];
      serviceConfig = {
        ExecStart = "${pkgs.busybox}/bin/httpd -f -p 127.0.0.1:8080 -h /etc/website";
        Restart = "on-failure";
      };
    };

    networking.interfaces.eth1 = {
      useDHCP = true;
      ipv4.addresses = lib.mkOverride 0 [];
      ipv6.addresses = lib.mkOverride 0 [];
    };

    nix.settings.substituters = lib.mkForce [];
    # Which key the fleet's cache has is known when the story runs.
    nix.extraOptions = "!include /etc/nix/floe.conf";

    # A disk with a boot loader, a system profile and room: what a host goes back to is what boots by default.
    virtualisation = {
      useBootLoader = true;
      diskSize = 8192;
      memorySize = 2048;
      fileSystems."/".autoResize = true;
    };
    boot.growPartition = true;
    documentation.enable = false;
  };
in
  pkgs.testers.runNixOSTest {
    name = "floe-${name}";

    nodes = {
      control = {
        lib,
        nodes,
        ...
      }: {
        environment.systemPackages = [packages.floe];
        networking.firewall = {
          allowedTCPPorts = [7443 7444];
          allowedUDPPorts = [67];
        };
        services.dnsmasq = {
          enable = true;
          resolveLocalQueries = false;
          settings = {
            port = 0;
            interface = "eth1";
            dhcp-range = "192.168.1.100,192.168.1.200,1h";
          };
        };
        nix.settings.substituters = lib.mkForce [];
        virtualisation = {
          # In its store, and known to its Nix.
          additionalPaths = [nodes.pushed.system.build.toplevel];
          diskSize = 8192;
          memorySize = 2048;
        };
        documentation.enable = false;
      };
      www1 = host;
      www2 = host;
      # Never started: the system that is pushed.
      pushed.imports = [host next];
    };

    testScript = {nodes, ...}: ''
      import base64

      NEXT = "${nodes.pushed.system.build.toplevel}"
      hosts = [www1, www2]

      def floe(words):
          return f"floe --repo /fleet {words}"

      def put(machine, target, content, mode="0644"):
          text = base64.b64encode(content.encode()).decode()
          machine.succeed(f"echo {text} | base64 -d | install -D -m {mode} /dev/stdin {target}")

      def running(machine):
          return machine.succeed("readlink /run/current-system").strip()

      def default(machine):
          return machine.succeed("readlink -f /nix/var/nix/profiles/system").strip()

      def push(machine_says=control.succeed):
          return machine_says(
              floe(f"push www --closure {NEXT} --cache-key /fleet/.floe/cache.sec --watch"), timeout=3600
          )

      with subtest("a fleet is founded"):
          control.start()
          for host in hosts:
              host.start(allow_reboot=True)
          control.wait_for_unit("multi-user.target")
          control.succeed("floe init fossable.org --dir /fleet --no-passphrase")
          control.succeed("sed -i 's,https://127.0.0.1:7443,https://control:7443,' /fleet/floe.toml")
          control.succeed("mkdir -p /fleet/hosts /fleet/pins/nixpkgs && cp -rL ${role} /fleet/hosts/www")
          # A pin must be there, and is never evaluated.
          put(control, "/fleet/pins/nixpkgs/default.nix", "{ }")
          put(control, "/fleet/floe.lock", 'schema = 1\n[pins.nixpkgs]\npath = "pins/nixpkgs"\n')
          control.succeed(
              "systemd-run --unit floe --setenv HOME=/root floe --repo /fleet serve"
              " --listen 0.0.0.0:7443 --public-url https://control:7443"
              " --objects-listen 0.0.0.0:7444 --objects-url https://control:7444"
          )
          control.wait_for_open_port(7443)
          control.wait_for_file("/fleet/.floe/operator/admin/ca.pem")
          control.succeed("nix-store --generate-binary-cache-key floe-test-1 /fleet/.floe/cache.sec /fleet/.floe/cache.pub")

      with subtest("two hosts join"):
          for host in hosts:
              # Its agent has nobody to talk to yet, and systemd waits for it.
              host.wait_for_unit("basic.target")
              control.succeed(floe(f"hosts token www --host local-{host.name} --out /root/{host.name}.toml"))
              key = control.succeed("cat /fleet/.floe/cache.pub")
              put(host, "/etc/nix/floe.conf", f"extra-trusted-public-keys = {key}\n")
              put(host, "/etc/floe/trust.json", control.succeed("cat /fleet/trust.json"))
              put(host, "/etc/floe/ca.pem", control.succeed("cat /fleet/.floe/operator/admin/ca.pem"))
              put(host, "/var/lib/floe/join.toml", control.succeed(f"cat /root/{host.name}.toml"), "0600")
              host.succeed("systemctl try-restart nix-daemon.service", "systemctl restart floe-agent.service")
              control.wait_until_succeeds(floe(f"hosts show local-{host.name}"))

      before = {host.name: running(host) for host in hosts}
      for host in hosts:
          assert default(host) == before[host.name], "a host boots what it runs"

      ${script}
    '';
  }
