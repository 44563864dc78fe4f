#!/usr/bin/env bash
# Guess: socat, which passes a half-close on, waits for the answer until the other side ends too.
# Seen (socat 1.7.4.4): it waits half a second (-t), counted from the half-close, and each byte that comes begins it anew.  Then it closes both sides in
# order, and an answer that takes longer is lost.  Its exit status is 0.
# What follows: for "send all, half-close, read the answer" through socat, -t is longer than what the service takes for its answer.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
package socat=1.7.4.4-2 libwrap0=7.6.q-32
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu"

cat >"$work/probe.py" <<'PYTHON'
import socket, subprocess, sys, threading, time

def serve(delay, answers):
    with service.accept()[0] as connection:
        while connection.recv(100): pass
        for _ in range(answers):
            time.sleep(delay)
            try: connection.send(b"answer ")
            except OSError: return

def ask(delay, answers, *options):
    threading.Thread(target=serve, args=(delay, answers), daemon=True).start()
    command = [sys.argv[1], *options, "-", f"TCP:127.0.0.1:{service.getsockname()[1]}"]
    result = subprocess.run(command, input=b"question", capture_output=True, timeout=10)
    return f"{result.stdout.decode().strip() or 'nothing'}, status {result.returncode}"

with socket.socket() as service:
    service.bind(("127.0.0.1", 0))
    service.listen(5)
    print(ask(0.1, 1))
    print(ask(1, 1))
    print(ask(0.3, 4))
    print(ask(1, 1, "-t", "3"))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py" "$work/root/usr/bin/socat")
expect "an answer after 0.1 s" "${seen[0]}" "answer, status 0"
expect "an answer after 1 s" "${seen[1]}" "nothing, status 0"
expect "four answers, 0.3 s apart" "${seen[2]}" "answer answer answer answer, status 0"
expect "an answer after 1 s, with -t 3" "${seen[3]}" "answer, status 0"
