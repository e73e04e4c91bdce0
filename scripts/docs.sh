#!/bin/sh
# docs.sh: makes the reference in HTML, to be read from the disk: index.html, which can be searched, the manual pages of C
# in c/, and what rustdoc makes for Rust beside them.
#
#   scripts/docs.sh            all of it, into target/doc
#   scripts/docs.sh --c DIR    only index and manual pages, into DIR
set -eu

fail() {
    echo "docs: $*" >&2
    exit 1
}

cd "$(dirname "$0")/.."
case ${1:-} in
    '') out=${CARGO_TARGET_DIR:-target}/doc ;;
    --c) out=${2:?which directory?} ;;
    *) fail 'usage: scripts/docs.sh [--c DIR]' ;;
esac
command -v mandoc >/dev/null || fail 'mandoc is missing (Debian, Ubuntu: apt-get install mandoc)'
[ $# -gt 0 ] || cargo doc --no-deps --package mtlspop --lib

manual=$PWD/docs/man
rm -rf "$out/c"
mkdir -p "$out/c"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Numbers have no page of their own: each is on that of a type or function. Where a text names one, it becomes a link.
grep -H '^\.so ' "$manual"/man3/MTLSPOP_*.3 | sed 's,.*/\([A-Za-z0-9_]*\)\.3:\.so man3/\(.*\)\.3$,\1 \2,' >"$work/numbers"
sed 's,^\(.*\) \(.*\)$,s!\\(^\\|[^>]\\)<code class="Dv">\1</code>!\\1<a href="\2.html#\1"><code class="Dv">\1</code></a>!g,' \
    "$work/numbers" >"$work/links"
echo 's,^<body>$,<body><nav><a href="../index.html">libmtlspop</a></nav>,' >>"$work/links"

# A page that mandoc does not find beside this one is a link to Debian's.
for page in "$manual"/man3/mtlspop*.3; do
    name=$(basename "$page" .3)
    (cd "$manual/man3" && mandoc -T html -O 'man=%N.html;https://manpages.debian.org/%N.%S,style=manual.css' "$name.3") |
        sed -f "$work/links" >"$out/c/$name.html"
done
cp "$manual/manual.css" "$out/c/"

# The contents are those of mtlspop(3), and the numbers.
{
    sed -n '/<h1 class="Sh" id="INDEX">/,/<h1 class="Sh" id="SEE_ALSO">/p' "$out/c/mtlspop.html" | sed 1d | head -n -3 |
        sed 's,href="\(mtlspop[a-z0-9_]*\.html\),href="c/\1,g'
    echo '<section class="Ss"><h2>Numbers</h2><dl class="Bl-tag">'
    sed 's,^\(.*\) \(.*\)$,<dt><a href="c/\2.html#\1">\1</a></dt><dd>on the page of \2</dd>,' "$work/numbers"
    echo '</dl></section>'
} >"$work/contents"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
sed -e "s/@VERSION@/$version/g" -e "/@CONTENTS@/{r $work/contents" -e 'd}' "$manual/index.html.in" >"$out/index.html"
echo "made $out/index.html"
