#!/usr/bin/env bash
# npm run soak [globs]: the tests in their long form: hundreds of kills, thousands of slow clients, a million forged links,
# and without arguments half an hour of random faults for the queue. Takes hours. Arguments are handed on as to npm test.
export SOAK=1 TEST_TIMEOUT_MS=7200000
here=$(dirname "$0")
bash "$here/test.sh" "$@" || exit 1
[ $# -gt 0 ] && exit 0
. "$here/environment.sh"
cd "$root" || exit 1
need_node
exec "$NODE" test/soak/queue.ts 1800
