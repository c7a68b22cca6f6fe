# Stands for a package set: Bash of the machine builds.
{ ... }@args:
rec {
  pkgs = import ./packages.nix args;
  make = name: text: more: derivation ({
    inherit name text;
    system = "x86_64-linux";
    builder = "/bin/bash";
    args = [ "-euc" ''mkdir -p "$(dirname "$out/$file")"; printf '%s' "$text" > "$out/$file"; chmod +x "$out/$file"'' ];
    PATH = "/usr/bin:/bin";
  } // more);
  stdenv = make "stdenv" ''
    PATH=
    for package in ''${buildInputs-}; do PATH=$PATH''${PATH:+:}$package/bin; done
    export PATH
    runHook() { if [ "$(type -t "$1")" = function ]; then "$1"; else eval "''${!1-}"; fi; }
    configurePhase() { echo "configuring $name"; }
    buildPhase() { echo "building $name"; }
    installPhase() { /bin/mkdir -p "$out" && echo "$name" > "$out/name"; }
    genericBuild() { runHook configurePhase; runHook buildPhase; runHook installPhase; }
  '' { file = "setup"; };
  runCommand = name: more: command: make name command ({ inherit stdenv; file = "script"; } // more);
  program = name: make name "#!/bin/bash\necho \"${name} says hello to \${1-the world}\"\n" { file = "bin/${(builtins.parseDrvName name).name}"; };
  hello = program "hello-2.12";
  other = program "other-1.0";
  bashInteractive = make "bash" "#!/bin/bash\nexec /bin/bash \"$@\"\n" { file = "bin/bash"; };
}
