# A system that does not answer its health check is left by the one host that tried it, and never reaches the other.
{tell}:
tell {
  name = "rollback";
  next = {lib, ...}: {
    environment.etc."website/healthz".enable = lib.mkForce false;
    environment.etc."website/other".text = "not what is asked for";
  };
  script = ''
    with subtest("a broken push is reverted by the first host, and stops there"):
        push(control.fail)
        for host in hosts:
            assert running(host) == before[host.name]
            assert default(host) == before[host.name]
            host.succeed("curl --fail http://127.0.0.1:8080/healthz")
            host.succeed("systemctl is-active floe-agent.service")
        tried = [host for host in hosts if host.execute("floe-agent history | grep -q 'rolled back'")[0] == 0]
        assert len(tried) == 1, f"{len(tried)} hosts tried it"

    with subtest("neither does a reboot bring it back"):
        for host in hosts:
            host.reboot()
            host.wait_for_unit("floe-agent.service")
            assert running(host) == before[host.name]
  '';
}
