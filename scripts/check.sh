#!/usr/bin/env bash
# npm run check: format, lint, types and unit tests; quick, needs no servers. --without-tests leaves out the last.
set -eu
. "$(dirname "$0")/environment.sh"
cd "$root"
need_node
need_modules
need_tool xz xz-utils
need_tool bzip2 bzip2
bin=node_modules/.bin
$bin/oxfmt --check .
$bin/oxlint --type-aware --deny-warnings
$bin/tsc -p .
[ "${1-}" = --without-tests ] && exit
"$NODE" --import ./test/support/repeatable.ts --test --test-reporter=dot 'lib/**/*.test.ts' 'test/structure/*.test.ts'
