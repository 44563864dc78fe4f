#!/usr/bin/env bash
# Guess: systemd-socket-proxyd at its --connections-max (256 unless given) leaves further clients in the listener's queue until one has gone, as
# HAProxy's maxconn and socat's max-children do.
# Seen (systemd 252): it accepts them and closes at once: an orderly end without a byte, or a reset where the client has sent something already.  The service
# hears nothing of it.  And it serves one more than it was told.
# What follows: a client takes that for the service's end.  With a service that itself waits at its limit, the proxy's is set higher.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
package systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2 libip4tc2=1.8.9-2 libkmod2=30+20221128-1 socat=1.7.4.4-2 libwrap0=7.6.q-32
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu/systemd"
LD_LIBRARY_PATH+=":$work/root/usr/lib/x86_64-linux-gnu/systemd"

cat >"$work/probe.py" <<'PYTHON'
import select, socket, subprocess, sys, threading, time

proxy, root = sys.argv[1], sys.argv[2]

def echo(connection):
    with connection:
        while data := connection.recv(100): connection.send(data)

def serve():
    while True: threading.Thread(target=echo, args=(service.accept()[0],), daemon=True).start()

def listening():
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    one.listen(20)
    return one

service, front = listening(), listening()
to, port = f"127.0.0.1:{service.getsockname()[1]}", front.getsockname()[1]
threading.Thread(target=serve, daemon=True).start()
if proxy == "socat":
    front.close()
    command = [f"{root}/usr/bin/socat", f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,max-children=2", f"TCP:{to}"]
else:
    activated = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0'
    command = ["sh", "-c", activated, "-", f"{root}/lib/systemd/systemd-socket-proxyd", "--connections-max=2", to]
process = subprocess.Popen(command, stdin=None if proxy == "socat" else front, stderr=subprocess.DEVNULL)

def connected():
    for _ in range(100):
        try: return socket.create_connection(("127.0.0.1", port), 1)
        except ConnectionRefusedError: time.sleep(0.05)

def answer(client):
    try: return client.recv(100).decode() or "end"
    except TimeoutError: return "waits"

try:
    clients, answers = [], []
    for number in range(5):
        clients.append(connected())
        if select.select(clients[-1:], [], [], 0.3)[0]:
            answers.append(answer(clients[-1]))
            continue
        clients[-1].send(b"echo")
        answers.append(answer(clients[-1]))
    print(*answers)
    clients[0].close()
    clients[1].close()
    print(answer(clients[3]))
finally:
    process.kill()
    process.wait()
PYTHON
mapfile -t seen < <(timeout 20 python3 "$work/probe.py" proxyd "$work/root")
expect "systemd-socket-proxyd --connections-max=2, five clients" "${seen[0]}" "echo echo echo end end"
expect "the fourth, when the first two have gone" "${seen[1]}" end
mapfile -t seen < <(timeout 20 python3 "$work/probe.py" socat "$work/root")
expect "socat with max-children=2" "${seen[0]}" "echo echo waits waits waits"
expect "the fourth, when the first two have gone" "${seen[1]}" echo
