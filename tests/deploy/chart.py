"""Lints the chart with Helm's own library, renders it, and checks what comes of it against Kubernetes' schemas.

Exits with 1, and says what is wrong.
"""

import sys

import helm_python
import kubernetes_validate
import yaml

# The oldest that the chart asks for, and a newer one.
VERSIONS = ["1.25", "1.31"]
FULL = {
    "triggers": {"form": 'name = "form"\n'},
    "segments": {"dormant": 'name = "dormant"\n'},
    "secretName": "espalier-secrets",
    "imagePullSecrets": [{"name": "registry"}],
    "podAnnotations": {"a": "b"},
    "store": {"size": "5Gi", "storageClass": "fast", "backupClaim": "backups"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
}


def main(folder: str) -> int:
    wrong = []
    report = helm_python.lint(folder, strict=True)
    wrong += [f"lint: {one}" for one in report["messages"] if one["severity"] >= 2] + report["errors"]
    chart = helm_python.Chart.load(folder)
    kinds = set()
    for what, values in [("as it ships", {}), ("with everything", FULL)]:
        for path, text in chart.render(values=values, name="shop", namespace="mail").items():
            if not path.endswith(".yaml"):
                continue
            for manifest in filter(None, yaml.safe_load_all(text)):
                kinds.add(manifest["kind"])
                for version in VERSIONS:
                    try:
                        kubernetes_validate.validate(manifest, version, strict=True)
                    except kubernetes_validate.ValidationError as error:
                        wrong.append(f"{path}, {what}, Kubernetes {version}: {error.message}")
                if manifest["kind"] == "StatefulSet":
                    wrong += [f"{path}, {what}: {words}" for words in promises(manifest)]
    if kinds != {"ConfigMap", "Service", "StatefulSet"}:
        wrong.append(f"it makes {sorted(kinds)}")
    # What is no value of the chart is refused.
    for values in [{"replicas": 2}, {"service": {"port": 0}}, {"terminationGracePeriodSeconds": 10}]:
        try:
            chart.validate_schema(chart.merge_values(values))
            wrong.append(f"{values} is taken")
        except helm_python.HelmError:
            pass
    print("\n".join(map(str, wrong)) or f"well: {len(kinds)} kinds")
    return 1 if wrong else 0


def promises(manifest: dict) -> list:
    """What the documentation says of the pod."""
    pod = manifest["spec"]["template"]["spec"]
    container = pod["containers"][0]
    security = container["securityContext"]
    said = {
        "one pod": manifest["spec"]["replicas"] == 1,
        "not root": pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] != 0,
        "nothing writable but its volumes": security["readOnlyRootFilesystem"],
        "no capability": security["capabilities"]["drop"] == ["ALL"],
        "no more privileges": security["allowPrivilegeEscalation"] is False,
        "time to drain": pod["terminationGracePeriodSeconds"] > 32,
        "no token of the cluster": pod["automountServiceAccountToken"] is False,
    }
    return [words for words, holds in said.items() if not holds]


sys.exit(main(sys.argv[1]))
