#!/usr/bin/env bash
# Builds the page in a folder into its `dist`, where it is out of date. What it was built from is remembered as
# checksums, so that a second call costs next to nothing. The server's next build takes the dashboard into the binary.
#
#   runtime/build-page.sh runtime/dashboard
set -euo pipefail
page=${1:?usage: build-page.sh FOLDER}
cd "$page"

if ! command -v npm >/dev/null; then
  echo "$page is built with Node 20 or later: install it, or do without (cargo build works, and EXAMPLE=bench ./run has no page)" >&2
  exit 1
fi

sources=$(find . \( -name node_modules -o -name dist \) -prune -o -type f ! -name screenshot.png -print | LC_ALL=C sort | xargs cksum)
if [ "$(cat dist/.built-from 2>/dev/null)" = "$sources" ]; then
  exit 0
fi

lock=$(cksum package-lock.json)
if [ "$(cat node_modules/.installed-from 2>/dev/null)" != "$lock" ]; then
  echo "$page: installing its packages"
  npm ci --no-progress --loglevel=error
  echo "$lock" >node_modules/.installed-from
fi
echo "$page: building"
npm run --silent build -- --logLevel warn
echo "$sources" >dist/.built-from
