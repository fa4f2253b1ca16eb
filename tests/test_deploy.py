"""What deploy/ says is true of the code: commands, options, paths; nothing is open without need."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from typer.core import TyperGroup
from typer.exceptions import TyperException

from http_serving import serving
from places import ROOT
from tunewise.cli import app
from tunewise.serving.http.access import OPEN_PATHS
from tunewise.serving.http.limits import Limits

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
DRAIN = Limits().drain_seconds


def parse(words: list[str]) -> None:
    """Parses `tunewise WORDS` by the real command line and runs nothing."""
    command, rest = typer.main.get_command(app), list(words)
    while isinstance(command, TyperGroup):
        command = command.commands[rest.pop(0)]
    command.make_context("tunewise", rest)


def instructions(name: str) -> list[str]:
    """What stands behind an instruction of the Dockerfile, each time, on one line."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", text)
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


def locked(file: Path) -> dict[str, set[str]]:
    """`name==version` -> hashes."""
    entries = re.split(
        r"\n(?=[a-zA-Z])", "\n" + file.read_text().partition("\n#    make lock\n")[2]
    )
    return {one.split()[0]: set(re.findall(r"--hash=(\S+)", one)) for one in entries if one.strip()}


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def unit(file: Path) -> dict[str, list[str]]:
    """Key -> its values, whatever the section."""
    found: dict[str, list[str]] = {}
    for line in file.read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_the_image_copies_what_there_is() -> None:
    sources = [
        word
        for one in instructions("COPY")
        if not one.startswith("--from=build")
        for word in one.split()[:-1]
    ]
    assert len(sources) >= 6
    assert [word for word in sources if not (ROOT / word).exists()] == []
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    assert set(sources) == sent


def test_the_image_takes_torch_first_and_alone_and_everything_else_by_hash() -> None:
    first, second, third = (one for one in instructions("RUN") if "pip install" in one)
    asked = re.search(r"\$\((sed .*?) pyproject\.toml\)", first)
    assert asked is not None
    done = subprocess.run(
        [*shlex.split(asked[1]), ROOT / "pyproject.toml"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"torch==[\d.]+\n", done.stdout)
    assert "--no-deps --require-hashes -r requirements.lock" in second
    assert "--no-deps --no-build-isolation ." in third


def test_the_lock_of_the_image_is_part_of_the_lock_that_tests_run_with() -> None:
    whole, part = (locked(folder / "requirements.lock") for folder in (ROOT, DEPLOY))
    assert len(part) > 80
    assert all(part.values())
    only_there = {name: hashes for name, hashes in part.items() if whole.get(name) != hashes}
    builds = {"hatchling", "tomlkit", "trove-classifiers"}
    assert {name.partition("==")[0] for name in only_there} <= builds
    names = {name.partition("==")[0] for name in part}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    needed = {re.match(r"[\w.-]+", one)[0].lower() for one in wanted} - {"torch"}  # type: ignore[index]
    assert needed - names == set()
    assert names & {"torch", "pytest", "pyright", "trl"} == set()


def test_the_image_runs_as_nobody_in_particular_and_asks_whether_it_is_ready() -> None:
    assert instructions("USER") == ["10001:10001"]
    (asked,) = re.findall(r"http://127\.0\.0\.1:8642(/\w+)", *instructions("HEALTHCHECK"))
    assert asked in OPEN_PATHS
    assert asked == "/ready"
    assert instructions("ENTRYPOINT") == ['["tunewise"]']
    parse(yaml.safe_load(instructions("CMD")[-1]))


def test_services_run_commands_that_there_are() -> None:
    services = compose()["services"]
    for name in ("server", "worker"):
        parse([re.sub(r"\$\{.*\}", "example.org", word) for word in services[name]["command"]])
    assert (ROOT / "deploy" / services["server"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / services["server"]["build"]["dockerfile"]).is_file()


def test_no_service_has_more_rights_than_it_needs() -> None:
    services = compose()["services"]
    for name, service in services.items():
        assert "ALL" in service["cap_drop"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "privileged" not in service
    assert all(services[name]["read_only"] for name in ("server", "worker"))
    assert services["server"]["ports"] == ["127.0.0.1:8642:8642"]
    assert not any("ports" in services[name] for name in ("worker", "postgres"))
    assert services["postgres"]["networks"] == ["inside"]
    assert compose()["networks"]["inside"]["internal"] is True


def test_no_password_has_a_default() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    said = re.findall(r"PASSWORD\w*: *(.*)", text)
    assert said == [
        "${POSTGRES_PASSWORD:?Write POSTGRES_PASSWORD=... into deploy/.env}",
        "/run/secrets/postgres_password",
    ]
    assert "POSTGRES_HOST_AUTH_METHOD" not in text
    assert compose()["secrets"]["postgres_password"] == {"environment": "POSTGRES_PASSWORD"}
    assert (
        ":"
        not in compose()["services"]["server"]["environment"]["TUNEWISE_DATABASE"].split("//")[1]
    )


def test_what_is_kept_outlives_its_container() -> None:
    services, volumes = compose()["services"], compose()["volumes"]
    kept = dict(part.split(":") for one in services.values() for part in one["volumes"])
    assert set(kept) == set(volumes)
    named = re.findall(r"(TUNEWISE_HOME|TUNEWISE_CACHE)=(\S+)", *instructions("ENV")[-1:])
    assert {path for _, path in named} <= set(kept.values())


def test_everything_has_time_to_end_what_it_began() -> None:
    services = compose()["services"]
    assert seconds(services["server"]["stop_grace_period"]) > DRAIN
    assert seconds(services["worker"]["stop_grace_period"]) > 15  # see worker.STOP_SECONDS
    for file in UNITS:
        least = DRAIN if "serve" in file.name else 15
        assert seconds(unit(file)["TimeoutStopSec"][0]) > least


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_units_start_commands_that_there_are(file: Path) -> None:
    (line,) = unit(file)["ExecStart"]
    program, *words = shlex.split(line)
    assert Path(program).name == "tunewise"
    parse(words)


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_units_give_no_right_that_is_not_needed(file: Path) -> None:
    said = unit(file)
    wanted = {
        "NoNewPrivileges": "true",
        "ProtectSystem": "strict",
        "ProtectHome": "true",
        "PrivateTmp": "true",
        "CapabilityBoundingSet": "",
        "RestrictNamespaces": "true",
        "SystemCallFilter": "@system-service",
        "UMask": "0077",
    }
    assert {key: said[key][-1] for key in wanted} == wanted
    assert said["User"] == ["tunewise"]
    folders = [f"/var/lib/{said['StateDirectory'][0]}", f"/var/cache/{said['CacheDirectory'][0]}"]
    places = dict(one.split("=", 1) for one in said["Environment"])
    assert [places["TUNEWISE_HOME"], places["TUNEWISE_CACHE"]] == folders


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.stem)
def test_systemd_finds_nothing_wrong_with_the_units(file: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze here")
    done = subprocess.run([program, "verify", file], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if file.name in line]
    installed = [line for line in said if "is not executable" in line]
    assert [line for line in said if line not in installed] == []


def test_this_check_would_notice_an_option_that_is_gone() -> None:
    with pytest.raises(TyperException):
        parse(["worker", "--no-such-option"])


def test_alarms_are_about_figures_that_there_are() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    blocks = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    rules = [rule for one in blocks for group in one.get("groups", []) for rule in group["rules"]]
    assert len(rules) >= 6
    with serving() as running, running.http() as http:
        told = set(re.findall(r"^# TYPE (\S+)", http.get("/metrics").text, re.MULTILINE))
    for rule in rules:
        asked = set(
            re.findall(r"\b(?:tunewise|http_server|gen_ai_(?:server|client))_\w+", rule["expr"])
        )
        figures = {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked}
        assert figures <= told, rule
        assert figures or rule["expr"].startswith("up{"), rule
