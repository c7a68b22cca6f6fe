# Makes $out/NAME.html of every $pages/NAME.txt: the first line is the title, empty lines part paragraphs.
mkdir "$out"
for page in "$pages"/*.txt; do
    name=$(basename "$page" .txt)
    {
        echo '<!doctype html>'
        echo '<meta charset="utf-8">'
        sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e '1s|.*|<title>&</title><h1>&</h1><p>|' -e 's|^$|<p>|' "$page"
    } >"$out/$name.html"
done
