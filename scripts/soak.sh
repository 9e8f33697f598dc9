#!/usr/bin/env bash
# npm run soak [globs]: the tests in their long form: hundreds of kills, thousands of slow clients, a million forged links.
# Takes an hour or more. Arguments are handed on as those of npm test.
export SOAK=1 TEST_TIMEOUT_MS=7200000
exec bash "$(dirname "$0")/test.sh" "$@"
