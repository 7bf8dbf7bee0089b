# lib/licenses.nix: those that are named in what is built here.
{
  asl20 = {
    shortName = "asl20";
    spdxId = "Apache-2.0";
    fullName = "Apache License 2.0";
    url = "https://spdx.org/licenses/Apache-2.0.html";
    free = true;
  };
}
