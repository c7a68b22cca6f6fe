# Built by the machine's own shell, outside of any sandbox.
let
  make = name: script: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    args = [ "-c" script ];
  };
in
rec {
  bottom = make "bottom" "mkdir $out; echo bottom > $out/text; echo built $NIX_STORE > ${toString ./.}/mark";
  top = make "top" "mkdir $out; ln -s ${bottom} $out/bottom; cat ${bottom}/text";
}
