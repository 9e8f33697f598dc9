#!/usr/bin/env bash
# npm run format: formats the sources in place.
set -eu
. "$(dirname "$0")/environment.sh"
cd "$root"
need_node
need_modules
node_modules/.bin/oxfmt .
