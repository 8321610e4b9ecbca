#!/usr/bin/env bash
# Fetches PostgreSQL's own regression and isolation tests from Debian's source packages, and builds
# the library that they load: of 15 those of the version that is installed, of 18 (whose servers are
# npm's) those of Debian's unstable. Needs apt's package lists and gcc, no root.
# Everything goes where the tests look for it, or into the directory given.
set -euo pipefail
cd "$(dirname "$0")/../../.."
target="${1:-node_modules/.cache/postgres-suites}"

installed="$(dpkg-query -W -f '${Version}' postgresql-15 2>/dev/null || true)"
if [ -z "$installed" ]; then
  echo 'postgresql-15 is not installed'
  exit 1
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

apt_with() {
  local dir="$1"
  shift
  apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$dir/parts" \
    -o Dir::State::lists="$dir/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o APT::Sandbox::User=root "$@"
}

# The machine's own Debian sources, asked for source packages.
sources_of_machine() {
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -e "$file" ] || continue
    sed -nE '/debian/s/^deb /deb-src /p' "$file" >>"$1/debian.list"
  done
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -e "$file" ] && grep -qE '^URIs:.*/debian' "$file" || continue
    sed -E 's/^Types:.*/Types: deb-src deb/' "$file" >"$1/$(basename "$file")"
  done
}

# Debian's unstable, from the same mirror as the machine's.
sources_of_unstable() {
  local mirror
  mirror="$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -1 || true)"
  [ -n "$mirror" ] || {
    echo 'no Debian mirror among the sources of apt'
    return 1
  }
  printf 'Types: deb deb-src\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' \
    "$mirror" /usr/share/keyrings/debian-archive-keyring.gpg \
    >"$1/unstable.sources"
}

# fetch MAJOR SOURCES STAMP INTO VERSION…: the first of the versions that is still there, or the newest.
fetch() {
  local major="$1" sources="$2" stamp="$3" into="$4"
  shift 4
  if [ "$(cat "$into/version" 2>/dev/null)" = "$stamp" ]; then
    echo "PostgreSQL $major: all there"
    return
  fi
  local dir="$work/$major" version
  mkdir -p "$dir/parts" "$dir/lists/partial" "$dir/tree"
  "$sources" "$dir/parts"
  apt_with "$dir" update
  for version in "$@" ''; do
    (cd "$dir" && apt_with "$dir" source --download-only "postgresql-$major${version:+=$version}") && break
  done
  tar -xf "$dir"/*.orig.tar.* -C "$dir/tree" --strip-components=3 --no-same-owner \
    --wildcards '*/src/test/regress/*' '*/src/test/isolation/*'
  # Headers only: to install the package would bring clang and LLVM along.
  for version in "$@" ''; do
    (cd "$dir" && apt_with "$dir" download "postgresql-server-dev-$major${version:+=$version}") && break
  done
  dpkg -x "$dir/postgresql-server-dev-$major"_*.deb "$dir/headers"
  gcc -O1 -fPIC -shared -w -I "$dir/headers/usr/include/postgresql/$major/server" \
    -o "$dir/tree/regress.so" "$dir/tree/regress/regress.c"
  rm -rf "$into"
  mkdir -p "$(dirname "$into")"
  mv "$dir/tree" "$into"
  chmod -R a+rX "$into"
  echo "$stamp" >"$into/version"
  echo "PostgreSQL $major's tests are in $into"
}

# What is compared is two runs of the same: another version than the installed one will do.
fetch 15 sources_of_machine "$installed" "$target/15" "$installed" \
  $(apt-cache madison postgresql-15 | awk '{ print $3 }' | sort -ru)
fetch 18 sources_of_unstable 18 "$target/18"
