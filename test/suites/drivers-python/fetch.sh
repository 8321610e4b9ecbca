#!/usr/bin/env bash
# Fetches drivers of Python from PyPI, and their own tests out of their source packages, into the
# directory given or where the tests look for it. psycopg 3 publishes none there. Needs no root.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
cd "$here/../../.."
target="${1:-node_modules/.cache/python-suites}"
python="${PGSPLIT_TEST_PYTHON:-python3}"

if cmp -s "$here/requirements.txt" "$target/requirements.txt"; then
  echo 'all there'
  exit 0
fi

rm -rf "$target"
mkdir -p "$target/sources"
"$python" -m venv "$target/venv"
pip() {
  "$target/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"
}
pip install --only-binary :all: -r "$here/requirements.txt"

# Package and directory of its tests. psycopg2's sources come without the ready-made library.
for suite in asyncpg:tests pg8000:test psycopg2:tests; do
  package="${suite%:*}"
  version="$(sed -nE "s/^$package(-binary)?==//p" "$here/requirements.txt")"
  pip download --no-deps --no-binary "$package" -d "$target/sources" "$package==$version"
  mkdir "$target/$package"
  tar -xzf "$target/sources/$package-$version.tar.gz" -C "$target/$package" --strip-components=1 \
    --no-same-owner --wildcards "*/${suite#*:}/*"
done
cp "$here/requirements.txt" "$target/requirements.txt"
echo "the drivers and their tests are in $target"
