"""The templates of deploy/: accepted by cfn-lint and the SAM translator, and with the properties that operation relies on."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from flight_etl.runners.events import messages
from flight_etl.settings import ENVIRONMENT

DEPLOY = Path(__file__).parents[2] / "deploy"
TEMPLATES = ("template.yaml", "backfill.yaml")
DELIVERIES = ("direct", "queue")
LAMBDA_TIMEOUT_S = 900
SET_BY_LAMBDA = {"AWS_REGION"}  # and refused in a function's own environment


class NoPolicies:
    """Stands for AWS's list of managed policies, of which the templates use none."""

    def load(self) -> dict[str, str]:
        return {}


def translated(name: str, monkeypatch: pytest.MonkeyPatch, **parameters: str) -> dict[str, Any]:
    """The plain CloudFormation template that AWS makes of a SAM template."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    template = yaml_parse((DEPLOY / name).read_text(encoding="utf-8"))
    for resource in template["Resources"].values():  # as `aws cloudformation package` does with files
        if "DefinitionUri" in resource["Properties"]:
            assert (DEPLOY / resource["Properties"]["DefinitionUri"]).is_file()
            resource["Properties"]["DefinitionUri"] = "s3://bucket/definition.json"
    found: dict[str, Any] = transform(template, parameters, NoPolicies())
    return found


@pytest.fixture
def resources(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found: dict[str, Any] = translated("template.yaml", monkeypatch, Architecture="arm64")["Resources"]
    return found


def of_type(resources: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == kind}


def chosen(value: Any, condition: str, *, holds: bool) -> Any:
    """Take the branch of an Fn::If on this condition, and nothing where that is AWS::NoValue; anything else as it is."""
    if isinstance(value, dict) and value.get("Fn::If", [None])[0] == condition:
        branch = value["Fn::If"][1 if holds else 2]
        return None if branch == {"Ref": "AWS::NoValue"} else branch
    return value


def cfn_lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from cfnlint.runner import main; sys.exit(main())", "--", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_cfn_lint_finds_nothing() -> None:
    done = cfn_lint(*(DEPLOY / name for name in TEMPLATES))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", TEMPLATES)
def test_cloudformation_can_read_it(name: str) -> None:
    """It knows no YAML aliases, though every local tool does."""
    events = yaml.parse((DEPLOY / name).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    assert not [event for event in events if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_translator_takes_it_and_leaves_nothing_serverless(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {one["Type"] for one in translated(name, monkeypatch)["Resources"].values()}
    assert kinds
    assert not {kind for kind in kinds if kind.startswith("AWS::Serverless")}


def test_the_function_is_the_documented_one(resources: dict[str, Any]) -> None:
    (function,) = of_type(resources, "AWS::Lambda::Function").values()
    wanted = {
        "FunctionName": "flight-data-etl-processor",
        "Runtime": "python3.13",
        "Handler": "main_etl_processor.lambda_handler",
        "MemorySize": 3008,
        "Timeout": LAMBDA_TIMEOUT_S,
        "ReservedConcurrentExecutions": 50,
        "Architectures": [{"Ref": "Architecture"}],
    }
    assert {name: function[name] for name in wanted} == wanted
    assert function["EphemeralStorage"]["Size"] > 512, "what is spilled needs more than the default"
    assert function["DeadLetterConfig"]["TargetArn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}


def test_both_architectures_and_no_other_can_be_chosen() -> None:
    template = yaml_parse((DEPLOY / "template.yaml").read_text(encoding="utf-8"))
    assert sorted(template["Parameters"]["Architecture"]["AllowedValues"]) == ["arm64", "x86_64"]


def test_every_environment_name_is_set_and_no_other(resources: dict[str, Any]) -> None:
    (function,) = of_type(resources, "AWS::Lambda::Function").values()
    assert function["Environment"]["Variables"].keys() == ENVIRONMENT.keys() - SET_BY_LAMBDA


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_json_and_gzipped_json_bring_events(resources: dict[str, Any], delivery: str) -> None:
    notification = resources["InputBucket"]["Properties"]["NotificationConfiguration"]
    by_lambda = chosen(notification["LambdaConfigurations"], "IsDirect", holds=delivery == "direct")
    by_queue = chosen(notification["QueueConfigurations"], "IsQueue", holds=delivery == "queue")
    assert (by_lambda is None) == (delivery == "queue")
    assert (by_queue is None) == (delivery == "direct")
    rules = by_lambda or by_queue
    assert {one["Event"] for one in rules} == {"s3:ObjectCreated:*"}
    suffixes = [rule["Value"] for one in rules for rule in one["Filter"]["S3Key"]["Rules"] if rule["Name"] == "suffix"]
    assert sorted(suffixes) == [".json", ".json.gz"]


def test_a_batch_may_fail_in_part_and_is_hidden_long_enough(resources: dict[str, Any]) -> None:
    (mapping,) = of_type(resources, "AWS::Lambda::EventSourceMapping").values()
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"]["MaximumConcurrency"] < 50
    queue = resources["EventQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * LAMBDA_TIMEOUT_S
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}


def test_everything_is_encrypted_and_private(resources: dict[str, Any]) -> None:
    buckets, queues = of_type(resources, "AWS::S3::Bucket"), of_type(resources, "AWS::SQS::Queue")
    assert buckets.keys() == {"InputBucket", "OutputBucket", "ErrorBucket"}
    assert queues.keys() == {"DeadLetters", "EventQueue"}
    assert all(one["BucketEncryption"]["ServerSideEncryptionConfiguration"] for one in buckets.values())
    assert all(set(one["PublicAccessBlockConfiguration"].values()) == {True} for one in buckets.values())
    assert all(one["SqsManagedSseEnabled"] is True for one in queues.values())


def test_unfinished_uploads_are_forgotten_in_every_bucket(resources: dict[str, Any]) -> None:
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        rules = [rule.get("AbortIncompleteMultipartUpload") for rule in bucket["LifecycleConfiguration"]["Rules"]]
        days = [rule["DaysAfterInitiation"] for rule in rules if rule is not None]
        assert days == [1], name


def test_what_holds_data_outlives_the_stack(resources: dict[str, Any]) -> None:
    for name in ("InputBucket", "OutputBucket", "ErrorBucket", "DeadLetters"):
        assert (resources[name]["DeletionPolicy"], resources[name]["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_logs_are_kept_for_a_while_and_no_longer(resources: dict[str, Any]) -> None:
    (logs,) = of_type(resources, "AWS::Logs::LogGroup").values()
    assert logs["LogGroupName"] == "/aws/lambda/flight-data-etl-processor"
    assert logs["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_alarms_watch_errors_throttles_duration_and_dead_letters(resources: dict[str, Any]) -> None:
    alarms = {one["MetricName"]: one for one in of_type(resources, "AWS::CloudWatch::Alarm").values()}
    assert {"Errors", "Throttles", "Duration", "ApproximateNumberOfMessagesVisible"} <= alarms.keys()
    assert alarms["Duration"]["Threshold"] < LAMBDA_TIMEOUT_S * 1000
    watched = alarms["ApproximateNumberOfMessagesVisible"]["Dimensions"]
    assert watched == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetters", "QueueName"]}}]
    assert all(one["TreatMissingData"] == "notBreaching" for one in alarms.values())


def statements(resources: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for role in of_type(resources, "AWS::IAM::Role").values():
        assert not role.get("ManagedPolicyArns")
        for policy in role["Policies"]:
            found += [one["Fn::If"][1] if "Fn::If" in one else one for one in policy["PolicyDocument"]["Statement"]]
    return found


@pytest.mark.parametrize("name", TEMPLATES)
def test_permissions_name_actions_and_resources(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No wildcard in an action; none alone as a resource but for network interfaces, which IAM cannot narrow."""
    for one in statements(translated(name, monkeypatch)["Resources"]):
        actions = one["Action"]
        assert isinstance(actions, list)
        assert not [action for action in actions if "*" in action]
        assert one["Resource"] != "*" or all(action.startswith("ec2:") for action in actions)


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_permission_says_why(name: str) -> None:
    """On the line of the action, or on that of the list for the actions of network interfaces and uploads."""
    lines = (DEPLOY / name).read_text(encoding="utf-8").splitlines()
    granted = [line for line in lines if re.match(r"\s+- (?:s3|sqs|logs|lambda|states):\w+", line)]
    assert granted
    assert not [line for line in granted if " #" not in line]


def test_without_a_vpc_nothing_of_networks_is_granted(resources: dict[str, Any]) -> None:
    (function,) = of_type(resources, "AWS::Lambda::Function").values()
    assert chosen(function["VpcConfig"], "InVpc", holds=False) is None
    (role,) = of_type(resources, "AWS::IAM::Role").values()
    always = [one for one in role["Policies"][0]["PolicyDocument"]["Statement"] if "Fn::If" not in one]
    assert not [action for one in always for action in one["Action"] if action.startswith("ec2:")]


MACHINE = json.loads((DEPLOY / "backfill.asl.json").read_text(encoding="utf-8"))
MAP = MACHINE["States"]["Objects"]


def selected(template: dict[str, str], item: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Fill a payload template of Step Functions: paths to the map's item and to the execution's input."""
    filled = {}
    for name, path in template.items():
        assert name.endswith(".$")
        root, *keys = re.sub(r"^\$\$\.Map\.Item\.Value", "item", path).replace("$.", "given.", 1).split(".")
        value: Any = {"item": item, "given": given}[root]
        for key in keys:
            value = value[key]
        filled[name.removesuffix(".$")] = value
    return filled


def test_the_handler_understands_the_batches_of_the_backfill() -> None:
    """What Step Functions makes of a listing, by the definition's own templates, names the objects with key and etag."""
    keys = ["2024/a b+1.json", "2024/ü%41.json.gz", "2024/folder/"]
    listing = [
        {"Etag": f'"{n:032x}"', "Key": key, "LastModified": 1_700_000_000, "Size": 10 + n, "StorageClass": "STANDARD"}
        for n, key in enumerate(keys)
    ]  # as ListObjectsV2 answers; Step Functions writes ETag as Etag
    given = {"bucket": "recordings", "prefix": "2024/"}
    batch = {
        "Items": [selected(MAP["ItemSelector"], item, given) for item in listing],
        "BatchInput": selected(MAP["ItemBatcher"]["BatchInput"], {}, given),
    }
    (message,) = messages(batch)
    assert not message.unreadable
    assert [(one.bucket, one.key, one.etag, one.size_bytes) for one in message.objects] == [
        ("recordings", key, f"{n:032x}", 10 + n) for n, key in enumerate(keys[:2])
    ]
    assert len(message.ignored) == 1


def test_the_backfill_lists_the_bucket_that_it_is_given() -> None:
    reader = MAP["ItemReader"]
    assert reader["Resource"].endswith(":states:::s3:listObjectsV2")
    given = {"bucket": "recordings", "prefix": "2024/"}
    assert selected(reader["Parameters"], {}, given) == {"Bucket": "recordings", "Prefix": "2024/"}


def test_the_backfill_leaves_room_retries_throttles_and_bears_failures(resources: dict[str, Any]) -> None:
    (function,) = of_type(resources, "AWS::Lambda::Function").values()
    assert MAP["MaxConcurrency"] < function["ReservedConcurrentExecutions"]
    assert 0 < MAP["ToleratedFailurePercentage"] < 100
    assert MAP["ResultWriter"]["Resource"].endswith(":states:::s3:putObject")
    task = MAP["ItemProcessor"]["States"]["Process"]
    assert task["TimeoutSeconds"] > function["Timeout"]
    throttled = [rule for rule in task["Retry"] if "Lambda.TooManyRequestsException" in rule["ErrorEquals"]]
    assert [rule["JitterStrategy"] for rule in throttled] == ["FULL"]
    assert MAP["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}


def test_cfn_lint_knows_every_field_of_the_definition(tmp_path: Path) -> None:
    """With what the template fills in, and as text, where cfn-lint checks the states language too."""
    text = json.dumps(MACHINE)
    machine = yaml_parse((DEPLOY / "backfill.yaml").read_text(encoding="utf-8"))["Resources"]["Backfill"]["Properties"]
    values = {"Partition": "aws", "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f", "ResultBucket": "results"}
    assert machine["DefinitionSubstitutions"].keys() == values.keys() == set(re.findall(r"\$\{(\w+)\}", text))
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)

    def found(definition: str) -> str:
        properties = {"RoleArn": "arn:aws:iam::123456789012:role/r", "DefinitionString": definition}
        resource = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
        (tmp_path / "machine.json").write_text(json.dumps({"Resources": {"Machine": resource}}), encoding="utf-8")
        return cfn_lint(tmp_path / "machine.json").stdout

    assert found(text) == ""
    assert "Nowhere" in found(text.replace('"StartAt": "Objects"', '"StartAt": "Nowhere"')), "it does not look into definitions"
