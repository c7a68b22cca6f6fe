# Texts that refer to each other.
let
  base = builtins.toFile "base" "the base\n";
  middle = builtins.toFile "middle" "on ${base}\n";
  top = builtins.toFile "top" "on ${middle} and ${base}\n";
in
{
  inherit base middle top;
}
