#!/usr/bin/env bash
# Fails where a folder of GreenNet uses a type that a folder above it declares.  The folders, from the bottom to the top:
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../Sources/GreenNet"

layers=(Base Loop Scheduler Tasks Sync Fibers Pools Threads Net Serving System)

for folder in *; do
    [[ $folder == *.docc || " ${layers[*]} " == *" $folder "* ]] || { echo "check-layers: $folder is in no layer" >&2; exit 1; }
done

# Two passes over all files in that order: the first learns which folder declares a type, the second looks at each word of the code.
files=()
for layer in "${layers[@]}"; do files+=("$layer"/*.swift); done

awk '
    # Comments and texts are no code; what is interpolated is, but declares and names no type that the code beside it does not.
    function code(line) {
        gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
        sub(/\/\/.*/, "", line)
        return line
    }
    FNR == 1 {
        pass += FILENAME == ARGV[1]
        layer = FILENAME
        sub(/\/.*/, "", layer)
        if (!(layer in rank)) rank[layer] = ++layers
    }
    # Types at the top level: what is inside another one is reached by its name.
    pass == 1 && /^[a-z@(]/ {
        line = code($0)
        count = split(line, words, /[^A-Za-z0-9_]+/)
        for (i = 1; i < count; i++)
            if (words[i] ~ /^(class|struct|enum|protocol|typealias)$/ && line !~ /^extension/) { home[words[i + 1]] = layer; break }
    }
    pass == 2 {
        count = split(code($0), words, /[^A-Za-z0-9_]+/)
        for (i = 1; i <= count; i++)
            if (words[i] in home && rank[home[words[i]]] > rank[layer]) {
                printf "%s:%d: %s uses %s, which %s declares\n", FILENAME, FNR, layer, words[i], home[words[i]]
                failed = 1
            }
    }
    END { exit failed }
' "${files[@]}" "${files[@]}"
