# Built by the machine's own shell, to paths that their contents make; and one to a path that is known before.
let
  make = name: script: {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = "/usr/bin:/bin";
    args = [ "-c" script ];
  };
  floating = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
in
rec {
  bottom = derivation (make "bottom" "echo making bottom; mkdir $out; echo bottom > $out/text" // floating);
  top = derivation (make "top" "echo making top; mkdir $out $doc; ln -s ${bottom} $out/bottom" // floating // { outputs = [ "out" "doc" ]; });
  plain = derivation (make "plain" "echo making plain; echo plain > $out");
}
