# Compiles every file of $src to a static library and copies the headers.
mkdir -p "$out/lib" "$out/include"
for file in "$src"/*.c; do
    tcc -c "$file" -o "$(basename "$file" .c).o"
done
tcc -ar rcs "$out/lib/libgreeting.a" ./*.o
cp "$src"/*.h "$out/include/"
