#!/usr/bin/env bash
# Guess: ioctl(TIOCOUTQ) of a TCP socket says how many bytes were sent and not acknowledged yet: 0, or an error, once the connection is gone.
# Seen (Linux 6.18): the end of the stream counts as a byte too.  Once the other side has reset the connection, it goes on saying what was not acknowledged
# then, without an error, for as long as the socket is open; poll tells of the reset, and recv says it once and then the end.
# What follows: a program that waits before a close until TIOCOUTQ is 0 looks for POLLHUP or POLLERR too, else that wait is always as long as its limit.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import array, fcntl, select, socket, termios, time

def unacknowledged(of):
    number = array.array("i", [0])
    fcntl.ioctl(of, termios.TIOCOUTQ, number)
    return number[0]

with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    sender = socket.create_connection(listener.getsockname())
    reader = listener.accept()[0]
sender.send(b"x")
reader.recv(1)
time.sleep(0.1)
print(unacknowledged(sender))
sender.setblocking(False)
try:
    while True: sender.send(bytes(65536))
except BlockingIOError:
    pass
time.sleep(0.1)
before = unacknowledged(sender)
sender.shutdown(socket.SHUT_WR)
print(unacknowledged(sender) - before)
reader.close()
events = select.poll()
events.register(sender, 0)
[(_, event)] = events.poll(1000)
print("POLLERR" if event & select.POLLERR else "", "POLLHUP" if event & select.POLLHUP else "")
try: sender.recv(1)
except OSError as error: print(type(error).__name__, sender.recv(1))
print("as before" if unacknowledged(sender) == before + 1 else unacknowledged(sender))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "TIOCOUTQ when the other side has all" "${seen[0]}" 0
expect "by how much an end behind unread bytes raises it" "${seen[1]}" 1
expect "poll when the other side has closed with unread bytes" "${seen[2]}" "POLLERR POLLHUP"
expect "recv, recv" "${seen[3]}" "ConnectionResetError b''"
expect "TIOCOUTQ after that" "${seen[4]}" "as before"
