#!/usr/bin/env python3
"""docs/ktstr-spec.schema.json against a JSON Schema validator: valid itself, takes our specs, refuses damaged ones.

Usage: spec_schema_test.py ROOT. Exit 0: all good, 1: a finding, 77: no validator here (python3-jsonschema).
"""
import copy
import json
import pathlib
import re
import sys
import tomllib

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)

GOOD = {
    "default": {"memory_mb": 512},
    "scheduler": {"demo": {"binary": "scx_demo", "args": ["-n", "5"], "duration_s": 2.5}},
    "test": [{"name": "x.1", "matrix": {"cores": [2, 4], "kernel": ["7.3"]},
              "payload": [{"name": "p", "binary": "/bin/true", "args": ["-x"], "timeout_s": 3}],
              "step": [{"hold_frac": 0.5, "ops": [{"spawn": "c", "work": "IoSync"}, {"move_tasks": "c", "to": "d"}]}],
              "scheduler": "demo", "cgroup": [{"name": "c", "cpuset": "0-1, 3", "work": "PipeIo"}]}],
}

# (where, key, value): each alone must make GOOD bad. A value of None takes the key out.
DAMAGES = [
    ([], "tests", []),
    ([], "test", []),
    ([], "test", None),
    (["default"], "memory_mb", 1),
    (["default"], "memory_mb", "512"),
    (["default"], "memory", 512),
    (["default"], "max_imbalance_ratio", -2),
    (["test", 0], "bpf_map_write", [{"map": "x"}]),
    (["test", 0], "bpf_map_write", [{"map": "x", "value": []}]),
    (["scheduler"], "none", {"binary": "x"}),
    (["scheduler"], "a b", {"binary": "x"}),
    (["scheduler", "demo"], "binary", None),
    (["scheduler", "demo"], "binary", ""),
    (["scheduler", "demo"], "args", "-n"),
    (["scheduler", "demo"], "args", [5]),
    (["scheduler", "demo"], "duration_s", 0),
    (["test", 0], "name", None),
    (["test", 0], "name", "../x"),
    (["test", 0], "name", "-x"),
    (["test", 0], "llcs", 1.5),
    (["test", 0], "cores", 256),
    (["test", 0], "auto_repro", 1),
    (["test", 0], "expect_scx_bpf_error_contains", ""),
    (["test", 0], "cgroup", {}),
    (["test", 0], "matrix", {"cores": []}),
    (["test", 0], "matrix", {"duration_s": [1]}),
    (["test", 0, "payload", 0], "binary", None),
    (["test", 0, "payload", 0], "exit_code", 256),
    (["test", 0, "step", 0], "ops", [{"spwan": "c"}]),
    (["test", 0, "step", 0], "ops", [{"move_tasks": "c"}]),
    (["test", 0, "step", 0], "ops", [{"run": "p", "wait": "p"}]),
    (["test", 0, "cgroup", 0], "policy", "fifo"),
    (["test", 0, "cgroup", 0], "phases", ["spin"]),
    (["test", 0, "cgroup", 0], "cpuset", "llc"),
    (["test", 0, "cgroup", 0], "work", "CpuSpinn"),
    (["test", 0, "cgroup", 0], "cpuset", "all"),
    (["test", 0, "cgroup", 0], "workers", 0),
    (["test", 0, "cgroup", 0], "auto_repro", True),
]


def main(root):
    schema = json.loads((root / "docs/ktstr-spec.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    failures = []

    specs = [p for folder in ("examples", "tests", "docs") for p in sorted((root / folder).rglob("*.toml"))
             if "bad" not in p.name]
    specs = [p for p in specs if "[[test" in p.read_text()]
    for path in specs:
        for error in validator.iter_errors(tomllib.loads(path.read_text())):
            failures.append(f"{path}: {error.json_path}: {error.message}")
    # The examples of the manuals are specs too.
    for manual in ("README.md", "docs/specs.md"):
        for text in re.findall(r"```toml\n(.*?)```", (root / manual).read_text(), re.S):
            if "[[test]]" not in text:
                continue
            specs.append(root / manual)
            for error in validator.iter_errors(tomllib.loads(text)):
                failures.append(f"{manual}: {error.json_path}: {error.message}")
    if not specs:
        failures.append("no spec found to try")

    if not validator.is_valid(GOOD):
        failures.append(f"the good spec is refused: {next(validator.iter_errors(GOOD)).message}")
    for where, key, value in DAMAGES:
        damaged = copy.deepcopy(GOOD)
        table = damaged
        for step in where:
            table = table[step]
        if value is None:
            del table[key]
        else:
            table[key] = value
        if validator.is_valid(damaged):
            failures.append(f"accepted: {where} {key} = {value!r}")

    for failure in failures:
        print(failure)
    print(f"{len(specs)} specs, {len(DAMAGES)} damages, {len(failures)} findings")
    return 1 if failures else 0


sys.exit(main(pathlib.Path(sys.argv[1])))
