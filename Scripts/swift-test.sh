#!/usr/bin/env bash
# Builds the package with its tests and runs them, with a time limit on the run.  Usage: swift-test.sh [OPTIONS OF swift build]
# TEST_TIMEOUT sets the limit in seconds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

limit=${TEST_TIMEOUT:-2700}

swift build --build-tests "$@"

# On INT, SwiftPM ends the tests and all that they have started (it may take half a minute); on TERM it would leave them running.
# One test after the other: some tests count the descriptors and OS threads of the process.
# No test uses XCTest, whose runner leaks memory, which AddressSanitizer would report.
# Output line by line, so that a run that hangs or crashes shows the name of its last test.
status=0
timeout --foreground --signal=INT --kill-after=60 "$limit" \
    stdbuf -oL swift test --skip-build --no-parallel --disable-xctest "$@" </dev/null || status=$?
if ((status == 124)); then
    printf 'The tests were stopped: they ran for more than %s seconds.\n' "$limit" >&2
fi
exit "$status"
