# Links a program with the library and runs it.
tcc -I"$library/include" "$test" "$library/lib/libgreeting.a" -o ./test
./test
echo passed >"$out"
