#!/usr/bin/env bash
# Writes Scripts/link-order.txt: the functions that a child of `--model process` runs for a connection with one message, with which
# build-dist.sh has the linker begin the program's code.  To be run after `make dist` where that path has changed; needs valgrind and python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scratch=$(mktemp -d)
server=
end() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap end EXIT

# Valgrind does not read all debug information of Swift.
program=$scratch/echo-server
strip -g -o "$program" .build/dist/echo-server
# That function runs in the child alone, when the fork is over: what was counted before is the parent's.
valgrind --tool=callgrind --demangle=no --zero-before=forget_after_fork --callgrind-out-file="$scratch/calls.%p" \
    "$program" --port 0 --model process 2>"$scratch/log" &
server=$!

port=
for ((tries = 0; tries < 300; tries++)); do
    port=$(sed -n 's/.*listening on.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$scratch/log")
    [[ -z $port ]] || break
    sleep 0.1
done
[[ -n $port ]] || { cat "$scratch/log" >&2; exit 1; }

exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'hello\n' >&3
read -r -t 30 answer <&3
[[ $answer == HELLO ]]
exec 3>&-

child=
for ((tries = 0; tries < 300; tries++)); do
    child=$(find "$scratch" -name 'calls.*' -size +0 ! -name "calls.$server")
    [[ -z $child ]] || break
    sleep 0.1
done
# Written at once, but not in one piece.
until grep -q '^totals:' "$child"; do sleep 0.1; done

callgrind_annotate --threshold=100 "$child" >"$scratch/functions"
nm "$program" >"$scratch/symbols"
# A function that the fork was called from has all the cost for its own, and runs no more.  Where several functions became one, the linker
# has kept any of them.  What is private to a file has a hash of the file's path in its name; what is compiled for several processors has theirs.
python3 - "$scratch/functions" "$scratch/symbols" "$program" >Scripts/link-order.txt <<'PYTHON'
import re, sys

functions, symbols, program = sys.argv[1:]
text = open(functions).read()
total = int(re.search(r"([\d,]+) \(100.0%\)  PROGRAM TOTALS", text)[1].replace(",", ""))
addresses, names = {}, {}
for fields in map(str.split, open(symbols)):
    if len(fields) == 3 and fields[1] in "tTwW":
        addresses[fields[2]] = fields[0]
        names.setdefault(fields[0], []).append(fields[2])
found = {}
for cost, name, file in re.findall(r"^ *([\d,]+) \( *[\d.]+%\)  [^:\n]*:(\S+) \[(.*)\]$", text, re.M):
    name = re.sub(r"'\d+$", "", name)
    if file == program and int(cost.replace(",", "")) < total and name in addresses:
        for alias in names[addresses[name]]:
            found[".text." + re.sub(r"33_[0-9A-F]{32}|\.arch_.*", "*", alias)] = True
print("\n".join(found))
PYTHON
wc -l Scripts/link-order.txt
