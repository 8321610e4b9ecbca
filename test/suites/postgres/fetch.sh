#!/usr/bin/env bash
# Fetches PostgreSQL's own regression and isolation tests, as Debian's source package of the installed
# version has them, and builds the library that they load. Needs apt's package lists and gcc, no root.
# Everything goes into the directory given, or where the tests look for it.
set -euo pipefail
cd "$(dirname "$0")/../../.."
target="${1:-node_modules/.cache/postgres-suites}"
major=15

installed="$(dpkg-query -W -f '${Version}' "postgresql-$major" 2>/dev/null || true)"
if [ -z "$installed" ]; then
  echo "postgresql-$major is not installed"
  exit 1
fi
if [ "$(cat "$target/version" 2>/dev/null)" = "$installed" ]; then
  echo 'all there'
  exit 0
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/parts" "$work/lists/partial" "$work/sources"
# The machine's own Debian sources, asked for source packages.
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ -e "$file" ] || continue
  sed -nE '/debian/s/^deb /deb-src /p' "$file" >>"$work/parts/debian.list"
done
for file in /etc/apt/sources.list.d/*.sources; do
  [ -e "$file" ] && grep -qE '^URIs:.*/debian' "$file" || continue
  sed -E 's/^Types:.*/Types: deb-src/' "$file" >"$work/parts/$(basename "$file")"
done
apt_source() {
  apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/parts" \
    -o Dir::State::lists="$work/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o APT::Sandbox::User=root "$@"
}
apt_source update

# The installed version, or the newest that is still there: what is compared is two runs of the same.
versions="$installed $(apt-cache madison "postgresql-$major" | awk '{ print $3 }' | sort -ru)"
for version in $versions; do
  (cd "$work/sources" && apt_source source --download-only "postgresql-$major=$version") && break
done
mkdir "$work/tree"
tar -xf "$work"/sources/*.orig.tar.* -C "$work/tree" --strip-components=3 --no-same-owner \
  --wildcards '*/src/test/regress/*' '*/src/test/isolation/*'

# Headers only: to install the package would bring clang and LLVM along.
for version in $versions; do
  (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "postgresql-server-dev-$major=$version") && break
done
dpkg -x "$work/postgresql-server-dev-$major"_*.deb "$work/headers"
gcc -O1 -fPIC -shared -w -I "$work/headers/usr/include/postgresql/$major/server" \
  -o "$work/tree/regress.so" "$work/tree/regress/regress.c"

rm -rf "$target"
mkdir -p "$(dirname "$target")"
mv "$work/tree" "$target"
chmod -R a+rX "$target"
echo "$installed" >"$target/version"
echo "PostgreSQL's tests are in $target"
