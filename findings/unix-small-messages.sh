#!/usr/bin/env bash
# Guess: a unix stream socket's buffer of 208 KiB holds some 200 thousand bytes, in whatever pieces they are sent, as TCP's does.  The receiver's SO_RCVBUF
# bounds it too.  ioctl(TIOCOUTQ) says how many bytes the other side has not taken yet.
# Seen (Linux 6.18): each send is charged with the memory that it takes, 768 bytes at least, so that 278 sends of a byte fill it.  TCP puts
# small sends together, and takes a hundred thousand and more of them.  SO_RCVBUF makes no difference, and TIOCOUTQ counts memory: 213504 for 278 bytes.
# What follows: a client that sends short lines over a unix socket, and reads the answers only after that, can be stuck after some hundreds of them, where
# it has room for many thousands over TCP.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import array, fcntl, socket, termios

def sends_of_a_byte(sender, limit):
    sender.setblocking(False)
    for count in range(limit):
        try: sender.send(b"x")
        except BlockingIOError: return count
    return f"{limit} and more"

def ask(descriptor, request):
    number = array.array("i", [0])
    fcntl.ioctl(descriptor, request, number)
    return number[0]

def pair(receive_buffer=None):
    sender, receiver = socket.socketpair()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 106496)  # which the kernel doubles: its default
    if receive_buffer: receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    return sender, receiver

sender, receiver = pair()
print(sends_of_a_byte(sender, 100_000))
print(ask(sender, termios.TIOCOUTQ), ask(receiver, termios.FIONREAD))
sender, receiver = pair(4096)
print(sends_of_a_byte(sender, 100_000))
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    client = socket.create_connection(listener.getsockname())
    server = listener.accept()[0]
print(sends_of_a_byte(client, 100_000))
PYTHON
mapfile -t seen < <(python3 "$work/probe.py")
expect "sends of a byte that a unix socket takes" "${seen[0]}" 278
expect "TIOCOUTQ there, and FIONREAD at the other end" "${seen[1]}" "213504 278"
expect "the same with an SO_RCVBUF of 4096" "${seen[2]}" 278
expect "sends of a byte that a TCP socket takes" "${seen[3]}" "100000 and more"
