#!/usr/bin/env bash
# Guess: where a service resets the connection, refuses it, or falls silent in the middle of an answer, a TCP proxy in front of it resets its client's.
# Seen (Debian 12: HAProxy 2.6.12, nginx 1.22.1, socat 1.7.4.4, systemd-socket-proxyd 252): all four end the client's stream in order, without an error,
# after a part of an answer as after a whole one, and after nothing where the service refuses; so do HAProxy and nginx when their own timeout is
# over.  The other way, a client's reset reaches the service as a reset through HAProxy, and as an orderly end through the others.
# What follows: behind a proxy an answer is whole only where the protocol says so, by a length or a last line.  A connect that succeeds, and an
# end without an error, say nothing of whether the service runs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
package haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0=1.1.3-3+b1 libopentracing1=1.6.0-4 \
    nginx=1.22.1-9+deb12u11 libnginx-mod-stream=1.22.1-9+deb12u11 socat=1.7.4.4-2 libwrap0=7.6.q-32 \
    systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2 libip4tc2=1.8.9-2 libkmod2=30+20221128-1 \
    libssl3=3.0.22-1~deb12u2
export LD_LIBRARY_PATH="$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu/systemd"
LD_LIBRARY_PATH+=":$work/root/usr/lib/x86_64-linux-gnu/systemd"

cat >"$work/probe.py" <<'PYTHON'
import errno, os, socket, struct, subprocess, sys, time

work, root = sys.argv[1], sys.argv[1] + "/root"

def written(name, text):
    with open(f"{work}/{name}", "w") as file: file.write(text.strip() + "\n")
    return f"{work}/{name}"

def command(proxy, port, service):
    if proxy == "haproxy":
        text = f"""
            defaults
              mode tcp
              retries 0
              timeout connect 1s
              timeout client 1s
              timeout server 1s
            listen all
              bind 127.0.0.1:{port}
              server only 127.0.0.1:{service}
            """
        return [f"{root}/usr/sbin/haproxy", "-db", "-f", written("haproxy.cfg", text)]
    if proxy == "nginx":
        text = f"""
            load_module {root}/usr/lib/nginx/modules/ngx_stream_module.so;
            daemon off; master_process off; pid {work}/pid; events {{}}
            stream {{ server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{service}; proxy_timeout 1s; }} }}
            """
        return [f"{root}/usr/sbin/nginx", "-e", f"{work}/log", "-p", work, "-c", written("nginx.conf", text)]
    if proxy == "socat":
        return [f"{root}/usr/bin/socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", f"TCP:127.0.0.1:{service}"]
    activated = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&0'
    return ["sh", "-c", activated, "-", f"{root}/lib/systemd/systemd-socket-proxyd", f"127.0.0.1:{service}"]

def bound(port=0):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", port))
    one.settimeout(5)
    return one

def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

def answer(connection):
    """All that comes, and how it ends."""
    seen = []
    try:
        while data := connection.recv(100): seen.append(data.decode())
        return " ".join(seen + ["end"])
    except OSError as error:
        return " ".join(seen + [errno.errorcode.get(error.errno, "nothing")])

def connected(port):
    for _ in range(100):
        try: return socket.create_connection(("127.0.0.1", port), 5)
        except ConnectionRefusedError: time.sleep(0.05)

def conversation(port, service):
    client = connected(port)
    client.send(b"question")
    server = service.accept()[0]
    server.settimeout(5)
    server.recv(100)
    return client, server

def results(proxy, port, service):
    client, server = conversation(port, service)
    server.send(b"half")
    half = client.recv(100).decode()
    reset(server)
    yield f"{half} {answer(client)}"
    if proxy in ("haproxy", "nginx"):
        client, server = conversation(port, service)
        server.send(b"half")
        yield answer(client)
    client, server = conversation(port, service)
    reset(client)
    yield answer(server)
    service.close()
    yield answer(connected(port))

for proxy in ("haproxy", "nginx", "socat", "proxyd"):
    with bound() as listener, bound() as service, open(f"{work}/errors", "w") as errors:
        service.listen(5)
        port = listener.getsockname()[1]
        if proxy == "proxyd": listener.listen(5)
        arguments = command(proxy, port, service.getsockname()[1])
        stdin = listener.fileno() if proxy == "proxyd" else subprocess.DEVNULL
        if proxy != "proxyd": listener.close()
        process = subprocess.Popen(arguments, stdin=stdin, stdout=errors, stderr=errors)
        try:
            print(" / ".join(results(proxy, port, service)), flush=True)
        finally:
            process.kill()
            process.wait()
PYTHON
mapfile -t seen < <(timeout 30 python3 "$work/probe.py" "$work")
expect "HAProxy: half an answer and a reset / and silence / a client's reset, at the service / a service that refuses" "${seen[0]}" \
    "half end / half end / ECONNRESET / end"
expect "nginx: the same" "${seen[1]}" "half end / half end / end / end"
expect "socat: the same but for the silence" "${seen[2]}" "half end / end / end"
expect "systemd-socket-proxyd: the same but for the silence" "${seen[3]}" "half end / end / end"
