"""The files of deploy/ are valid, and agree with each other and with the code."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import dagster as dg
import pytest
import yaml

from refersion_dagster.settings import SECRET_VARIABLES, VARIABLES, Settings
from refersion_dagster_tests.deploy.topology import COMPOSE, DEPLOY, ENTRYPOINT
from refersion_dagster_tests.location import COMMANDS

HADOLINT = shutil.which("hadolint", path=str(COMMANDS))


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed")
def test_the_dockerfile_has_no_findings() -> None:
    assert HADOLINT
    found = subprocess.run([HADOLINT, str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0)


@pytest.mark.processes
def test_the_compose_file_fits_the_schema_of_compose() -> None:
    command = (str(COMMANDS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec")
    found = subprocess.run([*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_only_the_services_that_need_a_secret_of_refersion_have_it() -> None:
    secrets = {name: SECRET_VARIABLES.intersection(one.get("secrets", ())) for name, one in COMPOSE["services"].items()}
    assert {name: found for name, found in secrets.items() if found} == {
        "code": {"REFERSION_PUBLIC_KEY", "REFERSION_SECRET_KEY", "REFERSION_GRAPHQL_TOKEN"},
        "webhooks": {"REFERSION_WEBHOOK_SECRET"},
    }
    for name, secret in COMPOSE["secrets"].items():
        assert secret == {"file": f"./secrets/{name}"}


def test_only_the_proxy_is_open_to_other_machines() -> None:
    ports = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
    assert ports == {"webserver": ["127.0.0.1:3000:3000"], "proxy": ["443:443"]}


def test_what_the_proxy_replaces_and_mounts_is_in_its_configuration() -> None:
    proxy, site = COMPOSE["services"]["proxy"], (DEPLOY / "nginx.conf").read_text()
    assert "s/127.0.0.1:8500/webhooks:8500/" in proxy["command"][-1]
    assert "server 127.0.0.1:8500;" in site
    mounted = [volume.split(":")[1] for volume in proxy["volumes"] if volume.startswith("./tls/")]
    assert len(mounted) == 2
    assert [certificate for certificate in mounted if f" {certificate};" not in site] == []


@pytest.mark.parametrize(("given", "printed"), [({}, "None"), ({"DAGSTER_POSTGRES_PASSWORD_FILE": "file"}, "a b/$c")])
def test_the_entrypoint_reads_the_password_of_dagsters_database(
    tmp_path: Path, given: dict[str, str], printed: str
) -> None:
    (tmp_path / "file").write_text("a b/$c\n")
    program = "import os; print(os.environ.get('DAGSTER_POSTGRES_PASSWORD'))"
    ended = subprocess.run(
        [str(ENTRYPOINT), str(COMMANDS / "python"), "-c", program],
        cwd=tmp_path,
        env={"PATH": os.defpath, **given},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == printed


def test_helm_limits_and_retries_runs_as_the_instance_does() -> None:
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
    instance = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    pools, retries = values["concurrency"]["pools"], values["dagsterDaemon"]["runRetries"]
    assert instance["concurrency"]["pools"] == {
        "granularity": pools["granularity"],
        "default_limit": pools["defaultLimit"],
    }
    assert instance["run_retries"] == {
        "enabled": retries["enabled"],
        "max_retries": retries["maxRetries"],
        "retry_on_asset_or_op_failure": retries["retryOnAssetOrOpFailure"],
    }
    monitoring = values["dagsterDaemon"]["runMonitoring"]
    assert instance["run_monitoring"]["max_runtime_seconds"] == monitoring["maxRuntimeSeconds"]
    assert instance["storage"]["postgres"]["postgres_db"]["scheme"] == values["postgresql"]["postgresqlScheme"]


def test_helm_names_the_release_of_dagster_and_settings_that_exist() -> None:
    text = (DEPLOY / "helm" / "values.yaml").read_text()
    assert f"--version {dg.__version__} " in text
    (deployment,) = yaml.safe_load(text)["dagster-user-deployments"]["deployments"]
    settings = Settings.of({one["name"]: one["value"] for one in deployment["env"]})
    settings.check()
    assert settings.variables.keys() <= VARIABLES
    (mount,) = deployment["volumeMounts"]
    assert settings.secret_files.secrets_dir == mount["mountPath"]
