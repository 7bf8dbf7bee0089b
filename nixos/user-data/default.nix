# Renders user data for a stock NixOS image: parameters to the text of a configuration.nix.
#
# They are those of ../bootstrap.nix and `modules = { url, sha256 }`, the archive of floe's modules (../release prints
# both). docs/packaging.md shows a call.
#
# The text is template.nix with the parameters as JSON in the place of @parameters@. Whoever else renders it must do
# only this: in JSON, `'` and `$` stand only within strings and may be written as escapes, and then there is nothing that
# Nix could read as the end of its string or as something to fill in.
parameters: let
  json =
    builtins.replaceStrings ["'" "$"] ["\\u0027" "\\u0024"]
    (builtins.toJSON parameters);
  text = builtins.replaceStrings ["@parameters@"] [json] (builtins.readFile ./template.nix);
in
  # EC2 takes 16 KiB of user data, before base64.
  if builtins.stringLength text > 16 * 1024
  then throw "user data would be ${toString (builtins.stringLength text)} bytes long, and EC2 takes 16384; is the trust root that large?"
  else text
