#!/usr/bin/env bash
# Guess: UDP_SEGMENT only saves work: datagrams that can be sent one by one can be sent as segments of one call, up to the documented number of segments.
# Seen (Linux 6.18): datagrams beyond the route's MTU, which the kernel cuts into fragments when they are sent one by one, are refused as segments, with
# EMSGSIZE, even a single one.  More than 128 segments (64 before Linux 6.9) are EINVAL.
# What follows: EMSGSIZE from a call with UDP_SEGMENT does not mean that a datagram is too long; send it again without.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr
((EUID == 0)) || { echo "needs root: it makes a network namespace, in which the loopback has an MTU of 1500" >&2; exit 77; }

cat >"$work/probe.py" <<'PYTHON'
import errno, socket, struct

sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))

def segments(count, size):
    cut = (socket.IPPROTO_UDP, 103, struct.pack("H", size))  # UDP_SEGMENT
    try:
        sender.sendmsg([b"x" * count * size], [cut], 0, receiver.getsockname())
        return "sent"
    except OSError as error:
        return errno.errorcode[error.errno]

print("sent" if sender.sendto(b"x" * 3000, receiver.getsockname()) == 3000 else "cut")
print(segments(1, 3000), segments(2, 1473), segments(2, 1472))
print(segments(128, 10), segments(129, 10))
PYTHON
mapfile -t seen < <(unshare --net sh -c "ip link set lo mtu 1500 up && python3 $work/probe.py")
expect "3000 bytes by sendto" "${seen[0]}" sent
expect "as segments: one of 3000 bytes, two of 1473, two of 1472" "${seen[1]}" "EMSGSIZE EMSGSIZE sent"
expect "128 segments, 129 segments" "${seen[2]}" "sent EINVAL"
