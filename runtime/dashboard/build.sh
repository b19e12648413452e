#!/usr/bin/env bash
# Builds the dashboard into `dist`, where it is out of date; the server's next build takes it into the binary. What it
# was built from is remembered as checksums, so that a second call costs next to nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! command -v npm >/dev/null; then
  echo "the dashboard is built with Node 20 or later: install it, or do without (cargo build works, /dashboard then says so)" >&2
  exit 1
fi

sources=$(find . \( -name node_modules -o -name dist \) -prune -o -type f ! -name screenshot.png -print | LC_ALL=C sort | xargs cksum)
if [ "$(cat dist/.built-from 2>/dev/null)" = "$sources" ]; then
  exit 0
fi

lock=$(cksum package-lock.json)
if [ "$(cat node_modules/.installed-from 2>/dev/null)" != "$lock" ]; then
  echo "dashboard: installing its packages"
  npm ci --no-progress --loglevel=error
  echo "$lock" >node_modules/.installed-from
fi
echo "dashboard: building"
npm run --silent build -- --logLevel warn
echo "$sources" >dist/.built-from
