#!/usr/bin/env bash
# Builds the package with its tests and runs them, with a time limit on the run.  Takes the options of `swift build`.
# TEST_TIMEOUT, in seconds, changes the limit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

limit=${TEST_TIMEOUT:-900}

swift build --build-tests "$@"

# INT makes SwiftPM end the tests and what they started (it may take half a minute); TERM would leave them running.
# One test after the other, for those that look for what was left behind count the process's descriptors and OS threads.
# Nothing uses XCTest, whose runner leaks a little, which AddressSanitizer would take for a failure.
# Line by line, for a run that hangs or crashes would else take the name of its last test with it.
status=0
timeout --foreground --signal=INT --kill-after=60 "$limit" \
    stdbuf -oL swift test --skip-build --no-parallel --disable-xctest "$@" </dev/null || status=$?
if ((status == 124)); then
    printf 'The tests were stopped: they ran for more than %s seconds.\n' "$limit" >&2
fi
exit "$status"
