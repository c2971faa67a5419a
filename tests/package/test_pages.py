"""What the pages and the Dockerfile tell people to type is done, as far as it can be done without AWS."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from botocore import xform_name
from botocore.session import get_session
from checkout import ROOT, copied_checkout, shell, shell_blocks

from flight_etl.runners.lambda_zip.slim import UNZIPPED_LIMIT_BYTES, size_of

if TYPE_CHECKING:
    from pathlib import Path

FRONT_DOOR = ROOT / "src" / "lambda" / "etl"
PAGES = (FRONT_DOOR / "README.md", ROOT / "deploy" / "README.md")
DOCKERFILE = (FRONT_DOOR / "Dockerfile").read_text(encoding="utf-8")
BEYOND_THE_API = {("s3", "cp"), ("s3", "ls"), ("cloudformation", "deploy"), ("cloudformation", "package")}  # of the AWS CLI alone
OF_THE_CLI = {"cli_binary_format"}


def aws_commands() -> list[list[str]]:
    blocks = [block for page in PAGES for block in shell_blocks(page)]
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("aws ")]


def test_there_are_commands_to_look_at() -> None:
    told = {(words[1], words[2]) for words in aws_commands()}
    assert {("lambda", "create-function"), ("s3api", "put-bucket-notification-configuration")} <= told


@pytest.mark.parametrize("words", aws_commands(), ids=lambda words: " ".join(words[1:3]))
def test_a_command_of_aws_has_options_that_exist(words: list[str]) -> None:
    """By the service's own model."""
    if (words[1], words[2]) in BEYOND_THE_API:
        return
    service = get_session().get_service_model({"s3api": "s3"}.get(words[1], words[1]))
    operation = next(one for one in service.operation_names if xform_name(one, "-") == words[2])
    shape = service.operation_model(operation).input_shape
    members = {xform_name(name) for name in shape.members}
    given = {word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}
    assert not given - members - OF_THE_CLI
    assert not {xform_name(name) for name in shape.required_members} - given


def test_the_notification_is_what_s3_takes() -> None:
    """Checked by botocore against S3's model, with both suffixes."""
    from botocore.validate import ParamValidator

    (text,) = re.findall(r"```json\n(.*?)```", (FRONT_DOOR / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    notification = json.loads(text)
    shape = get_session().get_service_model("s3").shape_for("NotificationConfiguration")
    assert not ParamValidator().validate(notification, shape).has_errors()
    rules = [rule for one in notification["LambdaFunctionConfigurations"] for rule in one["Filter"]["Key"]["FilterRules"]]
    assert rules == [{"Name": "suffix", "Value": ".json"}, {"Name": "suffix", "Value": ".json.gz"}]
    assert {event for one in notification["LambdaFunctionConfigurations"] for event in one["Events"]} == {"s3:ObjectCreated:*"}


def works(root: Path) -> None:
    """Run a sample from end to end with nothing but the package and the standard library."""
    paths = f"import sys; sys.path.insert(0, {str(root)!r})"
    code = f"{paths}\nimport runpy; runpy.run_path({str(root / 'main_etl_processor.py')!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["read"] == report["written"] + sum(report["dropped"].values()) > 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zip") is None, reason="no zip on this machine")
def test_a_package_made_by_hand_works(tmp_path: Path) -> None:
    checkout = copied_checkout(tmp_path / "checkout")
    (commands,) = [block for block in shell_blocks(FRONT_DOOR / "README.md") if "pip install -r requirements.txt" in block]
    shell(commands, checkout)
    with zipfile.ZipFile(checkout / "flight-etl.zip") as archive:
        archive.extractall(tmp_path / "root")
    assert size_of(tmp_path / "root") <= UNZIPPED_LIMIT_BYTES
    works(tmp_path / "root")


def steps(instruction: str) -> list[str]:
    """Arguments of each such instruction of the Dockerfile, with continued lines joined."""
    return re.findall(rf"^{instruction} (.*)$", DOCKERFILE.replace("\\\n", " "), re.MULTILINE)


def test_the_image_is_of_the_runtime_of_the_template_and_starts_its_handler() -> None:
    template = (ROOT / "deploy" / "template.yaml").read_text(encoding="utf-8")
    (default,) = re.findall(r"^ARG PYTHON_VERSION=(.*)$", DOCKERFILE, re.MULTILINE)
    assert f"Runtime: python{default}\n" in template
    (handler,) = re.findall(r"Handler: (\S+)", template)
    assert steps("CMD") == [f'["{handler}"]']
    assert {image.split(" ")[0] for image in steps("FROM")} == {"public.ecr.aws/lambda/python:${PYTHON_VERSION}"}


@pytest.mark.slow
def test_the_steps_of_the_image_lead_to_a_package_that_works(tmp_path: Path) -> None:
    """All but the installation of a compiler, with /source and /package in a folder of the test."""
    checkout, source, package = copied_checkout(tmp_path / "checkout"), tmp_path / "source", tmp_path / "package"
    for copied in steps("COPY")[:-1]:
        *names, target = copied.split()
        for name in names:
            place = tmp_path / target.strip("/")
            copy = shutil.copytree if (checkout / name).is_dir() else shutil.copy
            place.parent.mkdir(exist_ok=True)
            if target.endswith("/"):
                place.mkdir(exist_ok=True)
            copy(checkout / name, place)
    (folder,) = steps("WORKDIR")
    for commands in steps("RUN"):
        if not commands.startswith("dnf "):
            shell(commands.replace("/source", str(source)).replace("/package", str(package)), tmp_path / folder.strip("/"))
    assert size_of(package) <= UNZIPPED_LIMIT_BYTES
    works(package)
