#!/usr/bin/env bash
# Fails where a folder of GreenNet uses what a folder above it declares: a type, a top-level function, or a member that an extension up there adds.
# The folders, from the bottom to the top:
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../Sources/GreenNet"

layers=(Base Loop Scheduler Tasks Sync Fibers Pools Threads Async Net Serving System Shared Streams Processes)

for folder in *; do
    [[ $folder == *.docc || " ${layers[*]} " == *" $folder "* ]] || { echo "check-layers: $folder is in no layer" >&2; exit 1; }
done

# Two passes over all files in that order: the first learns which folder declares a name, the second looks at each word of the code.
# A name that a lower folder declares as well, or Swift itself, says nothing, and is not looked at.
files=()
for layer in "${layers[@]}"; do files+=("$layer"/*.swift); done

awk '
    # Comments and texts are no code; what is interpolated is, but declares and names nothing that the code beside it does not.
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
    BEGIN { home["withLock"] = home["map"] = "Base" }  # Mutex has one, Sequence the other, too
    # The lowest folder counts: it comes first.  A type inside another one is reached by that, a member of a type by its object.
    pass == 1 {
        line = code($0)
        if (/^[a-z@(]/) isExtension = line ~ /^(public |package |fileprivate |private )?extension /
        count = split(line, words, /[^A-Za-z0-9_]+/)
        for (i = 1; i < count; i++) {
            if (words[i] !~ /^(class|struct|enum|protocol|typealias|func|var|let|case)$/) continue
            isLocal = line ~ /^ *(public |package |internal |fileprivate )*(private|fileprivate) /
            isType = words[i] ~ /^(class|struct|enum|protocol|typealias)$/ && /^[a-z@(]/
            isMember = words[i] ~ /^(func|var)$/ && (/^[a-z@(]/ || isExtension && /^    [a-z@(]/) && !isLocal
            if (words[i] == "case") for (j = i + 2; j <= count; j++) if (!(words[j] in home)) home[words[j]] = layer
            if (!(words[i + 1] in home)) home[words[i + 1]] = layer
            if (isType || isMember) declared[words[i + 1]] = 1
        }
    }
    pass == 2 {
        line = code($0)
        count = split(line, words, /[^A-Za-z0-9_]+/)
        for (i = 1; i <= count; i++) {
            name = words[i]
            if (!(name in declared) || rank[home[name]] <= rank[layer]) continue
            # A member is used behind a dot or as a call; a label or a parameter only looks like one.
            if (name ~ /^[a-z]/ && line !~ "\\." name "([^A-Za-z0-9_:]|$)" && line !~ "(^|[^A-Za-z0-9_.])" name "\\(") continue
            printf "%s:%d: %s uses %s, which %s declares\n", FILENAME, FNR, layer, name, home[name]
            failed = 1
        }
    }
    END { exit failed }
' "${files[@]}" "${files[@]}"
