#!/usr/bin/env bash
# Guess: if a child has raised its oom_score_adj by 500, the kernel, out of memory in their cgroup, kills the child before its parent.
# Seen (Linux 6.18, cgroups v1): it kills the parent if that has mapped more of files than half of the cgroup's limit.  500 counts for half of the limit, and mapped pages of
# files count for the process though they are charged to whichever cgroup read them first; a forked child has not mapped them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"
uname -sr

cat >"$work/probe.py" <<'PYTHON'
import mmap, os, signal, sys, time

MIB = 1 << 20
LIMIT = 64 * MIB
root = "/sys/fs/cgroup"
old = os.path.isdir(root + "/memory")
group = f"{root}/memory/oom-probe-{os.getpid()}" if old else f"{root}/oom-probe-{os.getpid()}"

def write(path, text):
    with open(path, "w") as file:
        file.write(str(text))

def child():
    write("/proc/self/oom_score_adj", 500)
    memory = bytearray(os.urandom(2 * MIB))
    time.sleep(20)
    os._exit(len(memory) and 0)

def parent(path):
    write(group + "/cgroup.procs", os.getpid())
    write("/proc/self/oom_score_adj", 0)
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    for page in range(0, len(mapped), mmap.PAGESIZE):
        mapped[page]
    for _ in range(60):
        if os.fork() == 0:
            child()
        time.sleep(0.05)
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended:
            os._exit(9 if os.WTERMSIG(status) == signal.SIGKILL else 1)
    os._exit(1)

def killed_first(size):
    path = os.path.join(sys.argv[1], "file")
    with open(path, "wb") as file:
        file.write(os.urandom(size))
    os.mkdir(group)
    write(group + ("/memory.limit_in_bytes" if old else "/memory.max"), LIMIT)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        parent(path)
    _, status = os.waitpid(pid, 0)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    while True:
        try:
            os.rmdir(group)
            break
        except OSError:
            time.sleep(0.05)
    if os.WIFSIGNALED(status):
        return "the parent" if os.WTERMSIG(status) == signal.SIGKILL else "another signal"
    return "a child" if os.WEXITSTATUS(status) == 9 else "no process"

print(killed_first(1 * MIB))
print(killed_first(64 * MIB))
PYTHON
mapfile -t seen < <(timeout 60 python3 "$work/probe.py" "$work")
expect "killed first, parent with 1 MiB of a file mapped" "${seen[0]}" "a child"
expect "killed first, parent with 64 MiB of a file mapped" "${seen[1]}" "the parent"
