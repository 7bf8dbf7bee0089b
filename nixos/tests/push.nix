# A push is confirmed: both hosts run what was pushed, and boot it.
{tell}:
tell {
  name = "push";
  next.environment.etc."website/healthz".text = "ok, and new";
  script = ''
    with subtest("a push is confirmed by every host"):
        push()
        for host in hosts:
            assert running(host) == NEXT
            assert default(host) == NEXT
            assert host.succeed("curl --fail http://127.0.0.1:8080/healthz") == "ok, and new"
            host.succeed("systemctl is-active floe-agent.service")

    with subtest("the same is what a reboot brings"):
        www1.reboot()
        www1.wait_for_unit("floe-agent.service")
        assert running(www1) == NEXT
  '';
}
