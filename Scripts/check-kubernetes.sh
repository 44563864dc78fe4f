#!/usr/bin/env bash
# Checks the manifests of packaging/kubernetes: against Kubernetes' schemas, with kubernetes-validate from PyPI; that the times and ports fit each other; that
# echo-server accepts the settings, as long as the Service's own variables stay out.  Usage: check-kubernetes.sh [PROGRAM] (default: .build/debug/echo-server)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

validator=1.37.0
# The oldest and the newest Kubernetes whose schemas this version has that are still supported.
releases=(1.34.0 1.37.0)
manifests=packaging/kubernetes
program=${1:-.build/debug/echo-server}
tools=.build/kubernetes-validate-$validator

fail() {
    printf 'check-kubernetes: %s\n' "$*" >&2
    exit 1
}

install_validator() {
    [[ ! -x $tools/bin/kubernetes-validate ]] || return 0
    command -v python3 >/dev/null || fail 'no python3 in PATH'
    rm -rf "$tools"
    { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet "kubernetes-validate==$validator"; } >"$scratch/pip.log" 2>&1 ||
        fail "kubernetes-validate $validator cannot be installed: $(tail -n 1 "$scratch/pip.log")"
}

# Usage: validate RELEASE FILES...
validate() { "$tools/bin/kubernetes-validate" --strict --no-warn -k "$1" "${@:2}" >"$scratch/log" 2>&1; }

check_schemas() {
    local release
    for release in "${releases[@]}"; do
        validate "$release" "$manifests"/*.yaml || fail "Kubernetes $release refuses a manifest: $(<"$scratch/log")"
        printf 'ok: schemas of Kubernetes %s\n' "$release"
    done
}

# Usage: expect_refusal EDIT: a validator that takes everything would pass the manifests too.
expect_refusal() {
    sed "$1" "$manifests/deployment.yaml" >"$scratch/wrong.yaml"
    ! cmp -s "$manifests/deployment.yaml" "$scratch/wrong.yaml" || fail "the edit $1 changes nothing"
    ! validate "${releases[-1]}" "$scratch/wrong.yaml" || fail "the schema takes a manifest that is wrong by $1"
}

# Usage: python FILE.  The validator brings a parser of YAML.
python() { "$tools/bin/python" - "$@"; }

# What no schema says: the times, the ports that the probes and the Service name, who the pods run as.
check_numbers() {
    python "$manifests" <<'PYTHON' || fail 'the manifests do not fit together'
import pathlib, sys, yaml

objects = {o["kind"]: o for f in pathlib.Path(sys.argv[1]).glob("*.yaml") for o in yaml.safe_load_all(f.read_text())}
pod = objects["Deployment"]["spec"]["template"]
spec, labels = pod["spec"], pod["metadata"]["labels"]
container = spec["containers"][0]
settings = {e["name"].removeprefix("ECHO_SERVER_"): e["value"] for e in container["env"]}
ports = {p["name"]: p["containerPort"] for p in container["ports"]}
wrong = []

def expect(condition, text):
    if not condition: wrong.append(text)

stop = float(settings["LAME_DUCK"]) + float(settings["DRAIN_TIMEOUT"]) + 2
expect(stop < spec["terminationGracePeriodSeconds"], f"the server needs {stop} s to stop, more than the grace period")
ready = container["readinessProbe"]
notice = (ready["failureThreshold"] * ready["periodSeconds"]) + ready["timeoutSeconds"]
expect(notice < float(settings["LAME_DUCK"]), f"the readiness probe takes {notice} s to notice, more than the lame duck")
expect(ports["echo"] == int(settings["PORT"]), "the port echo is not the server's")
expect(settings["ADMIN"].endswith(f":{ports['admin']}"), "the port admin is not the server's")
for name, path in {"readinessProbe": "/readyz", "livenessProbe": "/healthz"}.items():
    expect(container[name]["httpGet"] == {"path": path, "port": "admin"}, f"{name} does not ask {path} at the port admin")
expect(pod["metadata"]["annotations"]["prometheus.io/port"] == str(ports["admin"]), "Prometheus is sent to another port")
expect(spec["enableServiceLinks"] is False, "service links would set ECHO_SERVER_PORT")
expect(all(p["targetPort"] in ports for p in objects["Service"]["spec"]["ports"]), "the Service names a port that is not there")
for kind, selector in {"Deployment": "selector", "PodDisruptionBudget": "selector", "NetworkPolicy": "podSelector"}.items():
    expect(objects[kind]["spec"][selector]["matchLabels"].items() <= labels.items(), f"{kind} selects other pods")
expect(objects["Service"]["spec"]["selector"].items() <= labels.items(), "the Service selects other pods")
# The Pod Security Standard `restricted`.
security = spec["securityContext"]
expect(security["runAsNonRoot"] and security["runAsUser"] == 65532, "the pod does not run as the image's user")
expect(security["seccompProfile"]["type"] == "RuntimeDefault", "the pod has no seccomp profile")
expect(container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
       "the container has more rights than it needs")
for text in wrong: print(f"check-kubernetes: {text}", file=sys.stderr)
sys.exit(bool(wrong))
PYTHON
    printf 'ok: times, ports, selectors and rights\n'
}

# Usage: settings_of_manifest: the pod's variables, one a line.
settings_of_manifest() {
    python "$manifests/deployment.yaml" <<'PYTHON'
import sys, yaml
for entry in yaml.safe_load(open(sys.argv[1]))["spec"]["template"]["spec"]["containers"][0]["env"]: print(f"{entry['name']}={entry['value']}")
PYTHON
}

check_settings() {
    [[ -x $program ]] || fail "no $program: build it with swift build --product echo-server"
    local settings status=0
    mapfile -t settings < <(settings_of_manifest)
    env -i "${settings[@]}" "$program" --print-config >"$scratch/settings" 2>"$scratch/log" || fail "echo-server refuses the settings: $(<"$scratch/log")"
    [[ ! -s $scratch/log ]] || fail "echo-server warns of the settings: $(<"$scratch/log")"
    env -i ECHO_SERVER_PORT=tcp://10.0.0.1:8080 "$program" --print-config >/dev/null 2>&1 || status=$?
    ((status == 78)) || fail "with the variable of a service link, echo-server ends with status $status instead of 78"
    printf 'ok: echo-server takes the settings\n'
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
install_validator
check_schemas
expect_refusal 's/replicas: 3/replicas: three/'
expect_refusal 's/readOnlyRootFilesystem/readOnlyRootFileSystem/'
expect_refusal 's/path: \/readyz/pfad: \/readyz/'
check_numbers
check_settings
