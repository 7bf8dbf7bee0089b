# Faults on demand. Nothing of this is in nixpkgs; a story sets them in the configuration that it pushes.
{ lib, ... }:
with lib;
let
  flag = description: mkOption { type = types.bool; default = false; inherit description; };
  name = default: description: mkOption { type = types.str; inherit default description; };
  seconds = description: mkOption { type = types.int; default = 0; inherit description; };
in
{
  options.standin = {
    buildDelay = seconds "the toplevel takes this long to build";
    buildFails = flag "the toplevel does not build";
    checkFails = flag "the pre-switch check fails";
    bootloaderFails = flag "the boot loader's installer fails before it writes anything";
    bootloaderFailsLate = flag "the boot loader's installer fails when the new menu is in place";
    bootloaderForgetsProfiles = flag "the boot menu has no entries for other profiles than the system's";
    kernelPanics = flag "the kernel panics instead of starting `init`";
    bootHangs = flag "the boot never reaches multi-user.target, and no agent starts";
    activationDelay = seconds "activation takes this long before it changes anything but /etc";
    activationFails = flag "one snippet of the activation fails; the rest is done";
    activationDies = flag "activation ends early: /etc is new, /run/current-system still old";
    lockWaits = flag "a held lock is waited for without limit, as by the program of 2024";

    # What a system is made of. Each of these is a package of its own, so that links differ where things do.
    kernel = name "6.6.63" "the version of the kernel: stands for boot.kernelPackages";
    kernelModules = name "" "modules beside the kernel's own: stands for boot.extraModulePackages";
    systemd = name "256.8" "the version of systemd, in name only: stands for systemd.package";
  };
}
