# Derivations in a set, and others beside them.
let
  greeting = import ./greeting.zx { };
in
{
  inherit greeting;
  again = greeting;
  other = greeting // { name = "other"; };
  number = 1;
}
