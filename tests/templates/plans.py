"""Plans of templates/infra, as Terraform makes them, for tests to read.

The plan needs the schemas of Google's providers, which come from Terraform's registry. So `TODOKE_TERRAFORM_CHECK`
names a program that has them: `PROGRAM DIR --plan FLAGS…` looks at form, validity and plan of a module without a
network, writes the plan as JSON to `$PLAN_JSON`, and ends with 0 if all is well. Without it, or without Terraform,
tests that read a plan are skipped.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["IMAGE", "INFRA", "ROOT", "SIZES", "Plan", "planned"]

ROOT = Path(__file__).parent.parent.parent
INFRA = ROOT / "templates" / "infra"
IMAGE = "europe-west1-docker.pkg.dev/my-project/todoke/todoke@sha256:" + "0123456789abcdef" * 4
SIZES = ("small", "large")


class Plan:
    """The resources of a plan, by their addresses, with what is known before the apply."""

    def __init__(self, text: str) -> None:
        self.text = text
        planned = json.loads(text)["planned_values"]
        self.outputs = {name: said.get("value") for name, said in planned["outputs"].items()}
        self.resources = {each["address"]: each["values"] for each in planned["root_module"]["resources"]}

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The resources of one type."""
        return {address: said for address, said in self.resources.items() if address.startswith(f"{kind}.")}

    def one(self, address: str) -> dict[str, Any]:
        return self.resources[address]


def planned(folder: Path, *flags: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Look at the module; a test that cannot is skipped."""
    program = os.environ.get("TODOKE_TERRAFORM_CHECK")
    if program is None or shutil.which("terraform") is None:
        pytest.skip("no plan: it wants Terraform, and TODOKE_TERRAFORM_CHECK (see tests/templates/plans.py)")
    plan = folder / "plan.json"
    done = subprocess.run(
        [program, str(INFRA), "--plan", *flags],
        env=os.environ | {"PLAN_JSON": str(plan)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return done, plan
