#!/usr/bin/env bash
# npm test: installs what is missing, then runs every test. Arguments are handed to the test runner (globs, --test-name-pattern …).
set -u
. "$(dirname "$0")/environment.sh"
cd "$root" || exit 1
need_node
need_modules
need_tool redis-server redis-server
need_tool postfix postfix
need_tool swaks swaks
need_tool nginx nginx-light
need_tool logrotate logrotate
need_tool openssl openssl
need_tool chromium chromium
need_tool python3 python3
need_tool strace strace
need_tool faketime faketime
need_tool xz xz-utils
need_tool bzip2 bzip2

# Every process of this run carries this mark, so that one that outlives it is found.
export MTA_TRACKING_TEST_RUN=$$-$RANDOM$RANDOM
[ $# -gt 0 ] || set -- 'lib/**/*.test.ts' 'test/**/*.test.ts'
"$NODE" --import ./test/support/repeatable.ts --test --test-reporter=spec --test-concurrency=2 --test-timeout="${TEST_TIMEOUT_MS:-300000}" "$@"
result=$?
"$NODE" scripts/leftover-processes.ts || result=1
exit $result
