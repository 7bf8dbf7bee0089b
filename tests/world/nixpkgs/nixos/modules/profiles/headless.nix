# nixos/modules/profiles/headless.nix: nobody sees a panic, so it ends in a reboot.
{
  boot.kernelParams = [ "panic=1" "boot.panic_on_fail" "vga=0x317" "nomodeset" ];
}
