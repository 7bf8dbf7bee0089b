# A system with other kernel parameters is booted once, on trial, proves itself after that boot, and then is what boots.
{tell}:
tell {
  name = "reboot";
  next.boot.kernelParams = ["floe.story=reboot"];
  activation = ''reboot = "if-needed"'';
  script = ''
    boots = {host.name: host.succeed("cat /proc/sys/kernel/random/boot_id") for host in hosts}

    with subtest("a push that needs a reboot is confirmed after it"):
        push()
        for host in hosts:
            # It booted without being asked by the driver, whose shell in it is a new one.
            host.connected = False
            host.wait_for_unit("floe-agent.service")
            assert host.succeed("cat /proc/sys/kernel/random/boot_id") != boots[host.name]
            host.succeed("grep -q floe.story=reboot /proc/cmdline")
            assert running(host) == NEXT
            assert default(host) == NEXT

    with subtest("it is what boots from now on"):
        www1.reboot()
        www1.wait_for_unit("floe-agent.service")
        assert running(www1) == NEXT
  '';
}
