"""`meltano-dags secrets` against moto's server, and the prompt on a real terminal."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from dag_factory.cli.main import main
from tests.support.running import CHECKOUT, free_port
from tests.support.secret_project import CONTENT, FOLDER, FULL, SECRETS_PLUGINS, job


@pytest.fixture
def run(write_project, monkeypatch, capsys):
    """Run a command below `secrets` for a job of one task."""
    monkeypatch.setenv("DAG_FACTORY_SECRETS_PREFIX", "acme")
    monkeypatch.setenv("NO_COLOR", "1")

    def started(*argv, task="tap-a target-open", **options):
        root = write_project(job(task, **options), plugins=SECRETS_PLUGINS)
        code = main(["secrets", *argv, "--project", str(root)])
        shown = capsys.readouterr()
        assert CONTENT not in shown.out + shown.err
        return code, shown.out, shown.err

    return started


def rows(run, **options):
    code, out, _ = run("plan", "--format", "json", **options)
    return code, {each["name"].rpartition("/")[2]: each for each in json.loads(out)}


def test_plan_lists_what_is_there_and_what_is_missing(run, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", {**FULL, "url": "u", "more": CONTENT})
    code, out, _ = run("plan", task="tap-a target-x", secrets=["shared/proxy"])
    assert code == 1
    assert out == (
        "acme/dev/meltano/shared/proxy  (missing: create it with `meltano-dags secrets push`)\n"
        "    jobs         j\n"
        "acme/dev/meltano/tap-a  (exists)\n"
        "    age          0 days\n"
        "    plugin       tap-a\n"
        "    sensitive    token, auth.user\n"
        "    settings     url\n"
        "    other keys   more\n"
        "    unread       more (correct it, or remove it)\n"
        "    jobs         j\n"
        "acme/dev/meltano/target-x  (missing: create it with `meltano-dags secrets push`)\n"
        "    plugin       target-x\n"
        "    sensitive    password\n"
        "    jobs         j\n"
        "3 secrets, 2 wrong\n"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (FULL, (0, "exists", [])),
        ({"key": CONTENT, "auth_user": CONTENT}, (0, "exists", [])),
        ({"token": CONTENT}, (0, "lacks", ["auth.user"])),
        ({"token": "", "auth.user": CONTENT}, (0, "lacks", ["token"])),
        ({}, (0, "empty", ["token", "auth.user"])),
        (CONTENT, (1, "malformed", [])),
        (CONTENT.encode(), (1, "malformed", [])),
        ({"token": None, "auth.user": CONTENT}, (1, "malformed", [])),
    ],
)
def test_plan_tells_how_a_secret_is(run, secrets_manager, content, expected):
    secrets_manager.put(f"{FOLDER}/tap-a", content)
    code, by_name = rows(run)
    row = by_name["tap-a"]
    assert (code, row["state"], row["lacking"]) == expected


def test_plan_for_other_programs(run, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", {"token": CONTENT, "url": "u", "more": "m"})
    assert rows(run)[1]["tap-a"] == {
        "name": f"{FOLDER}/tap-a",
        "plugin": "tap-a",
        "jobs": ["j"],
        "state": "lacks",
        "hint": "",
        "settings": [
            {"name": "url", "sensitive": False, "set": True},
            {"name": "token", "sensitive": True, "set": True},
            {"name": "auth.user", "sensitive": True, "set": False},
        ],
        "lacking": ["auth.user"],
        "other_keys": ["more"],
        "unread_keys": ["more"],
        "age_days": 0,
    }


def test_a_misspelt_key_is_named_with_the_nearest_setting_and_fails_nothing(run, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", {**FULL, "tokn": CONTENT, "key": CONTENT})
    code, out, _ = run("plan")
    assert code == 0
    assert "    unread       tokn (did you mean 'token'?)\n" in out
    code, out, _ = run("doctor")
    assert code == 0
    assert out.endswith(
        f"ok     {FOLDER}/tap-a\n"
        f"warn   {FOLDER}/tap-a: 'tokn' is not a setting: did you mean 'token'?\n"
    )


def test_of_a_plugin_that_inherits_one_secret_is_enough(run, secrets_manager):
    task = "tap-b target-open"
    assert {name: each["state"] for name, each in rows(run, task=task)[1].items()} == {
        "tap-a": "missing",
        "tap-b": "missing",
    }
    secrets_manager.put(f"{FOLDER}/tap-a", FULL)
    code, by_name = rows(run, task=task)
    assert (code, by_name["tap-b"]["state"]) == (0, "inherited")
    secrets_manager.put(f"{FOLDER}/tap-b", {"token": "other"})
    assert rows(run, task=task)[1]["tap-b"]["lacking"] == []


def test_plan_shows_the_variables_of_other_secrets(run, secrets_manager):
    secrets_manager.put(f"{FOLDER}/proxy", {"HTTPS_PROXY": CONTENT})
    code, out, _ = run("plan", task="tap-open target-open", secrets=["proxy"])
    assert code == 0
    assert "    variables    HTTPS_PROXY\n" in out


@pytest.mark.parametrize("prefix", ["acme/meltano/x", "acme/meltano"])
def test_a_prefix_may_contain_the_name_of_the_folder(run, secrets_manager, monkeypatch, prefix):
    monkeypatch.setenv("DAG_FACTORY_SECRETS_PREFIX", prefix)
    monkeypatch.setenv("TAP_A_TOKEN", CONTENT)
    name = f"{prefix}/dev/meltano/tap-a"
    assert run("push", "tap-a", "--from-env", "--yes")[0] == 0
    assert json.loads(secrets_manager.text(name)) == {"token": CONTENT}
    _, out, _ = run("plan")
    assert f"{name}  (lacks settings)\n" in out
    assert "    plugin       tap-a\n" in out
    _, _, err = run("push", "tap-aa", "--from-env", "--yes")
    assert "did you mean 'tap-a'?" in err


def test_a_secret_that_is_being_deleted_is_wrong(run, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", FULL)
    secrets_manager.delete(f"{FOLDER}/tap-a")
    code, by_name = rows(run)
    assert (code, by_name["tap-a"]["state"]) == (1, "unreadable")
    assert by_name["tap-a"]["hint"].endswith("restore it, if it is being deleted")


def test_secrets_of_kubernetes_are_not_looked_for_in_aws(run, answers):
    options = {"runner": "kubernetes", "image": "r/i:1", "secrets": {"mode": "k8s"}}
    code, by_name = rows(run, **options)
    assert (code, by_name["tap-a"]["state"], answers.asked) == (0, "of_kubernetes", [])
    assert run("doctor", **options)[0] == 0
    assert answers.asked == []


@pytest.fixture
def since_42_days(answers):
    """A secret that exists and may not be read, whose value has not changed for so long."""

    def answer(asked):
        if "SecretIdList" in asked:
            answers.status = 400
            return {"__type": "AccessDeniedException"}
        answers.status = 200
        version = {"VersionId": "1", "VersionStages": ["AWSCURRENT"]}
        return {"Versions": [{**version, "CreatedDate": time.time() - 86_400 * 42.5}]}

    answers.body = answer


@pytest.mark.usefixtures("since_42_days")
def test_who_may_not_read_secrets_may_know_that_they_exist(run):
    code, out, _ = run("plan")
    assert code == 0
    assert f"{FOLDER}/tap-a  (exists, but may not be read)\n    age          42 days\n" in out


@pytest.mark.usefixtures("since_42_days")
def test_a_value_that_is_older_than_it_may_be_fails_the_plan(run):
    assert run("plan", "--max-age=42")[0] == 0
    code, _, err = run("plan", "--max-age=41")
    assert code == 1
    assert err == (
        f"{FOLDER}/tap-a has a value that is older than 41 days: renew it at its source, "
        "then run `meltano-dags secrets push tap-a`\n"
    )


def test_what_may_not_even_be_known_is_denied(run, answers):
    answers.refuse(400, "AccessDeniedException")
    code, by_name = rows(run)
    assert (code, by_name["tap-a"]["state"]) == (1, "denied")
    assert [each["set"] for each in by_name["tap-a"]["settings"]] == [None, None]


@pytest.mark.parametrize(
    ("names", "reason", "expected"),
    [
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "there are no AWS credentials", 78),
        (("AWS_DEFAULT_REGION",), "no AWS region is set", 78),
        ((), "AWS cannot be reached", 69),
    ],
)
def test_where_aws_cannot_be_asked_the_needs_are_listed(run, aws_environ, names, reason, expected):
    aws_environ.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{free_port()}")
    for name in names:
        aws_environ.delenv(name)
    code, out, err = run("plan")
    assert code == expected
    assert out.startswith(f"{FOLDER}/tap-a  (unknown)\n")
    assert out.endswith("\n1 secret\n")
    assert "    sensitive    token, auth.user\n" in out
    assert err.startswith(f"meltano-dags: the states of the secrets are unknown: {reason}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["plan", "push", "doctor"])
def test_without_a_prefix_it_is_told_what_to_set(run, monkeypatch, command):
    monkeypatch.delenv("DAG_FACTORY_SECRETS_PREFIX")
    code, _, err = run(command)
    assert code == 2
    assert err.startswith("meltano-dags: DAG_FACTORY_SECRETS_PREFIX is not set: set it to ")


def test_without_boto3_it_is_told_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    code, _, err = run("plan")
    assert code == 78
    assert err.endswith("pip install 'meltano-dag-factory[secrets]'\n")


@pytest.mark.parametrize("command", ["plan", "doctor"])
def test_a_job_that_is_left_out_is_named_and_counts(run, secrets_manager, command):
    secrets_manager.put(f"{FOLDER}/tap-a", FULL)
    code, _, err = run(command, task="tap-c target-open")
    assert code == 1
    assert "MDF013" in err


def test_a_file_is_pushed_and_other_keys_stay(run, secrets_manager, tmp_path):
    secrets_manager.put(f"{FOLDER}/tap-a", {"token": "old", "more": [1]})
    file = tmp_path / "values.json"
    file.write_text(json.dumps({"token": CONTENT, "url": "u"}))
    code, out, _ = run("push", "tap-a", "--from-file", str(file), "--yes")
    assert code == 0
    assert out == (
        f"{FOLDER}/tap-a  (gets a new version)\n"
        "    sets         url\n"
        "    changes      token\n"
        f"wrote {FOLDER}/tap-a\n"
        "1 secret written\n"
    )
    held = json.loads(secrets_manager.text(f"{FOLDER}/tap-a"))
    assert held == {"token": CONTENT, "more": [1], "url": "u"}


def test_all_secrets_are_pushed_from_the_env_file_of_meltano(run, secrets_manager, tmp_path):
    file = tmp_path / ".env"
    file.write_text(
        f"TAP_A_KEY={CONTENT}\nTARGET_X_PASSWORD='{CONTENT}'\nOTHER=x\nTAP_A_URL=\n{CONTENT}==\n"
    )
    code, out, err = run("push", "--from-file", str(file), "--yes", task="tap-a target-x")
    assert (code, err) == (0, "left out, because no secret takes them: OTHER\n")
    assert "is created" in out
    assert json.loads(secrets_manager.text(f"{FOLDER}/tap-a")) == {"token": CONTENT}
    assert json.loads(secrets_manager.text(f"{FOLDER}/target-x")) == {"password": CONTENT}


def test_variables_of_the_environment_are_pushed(run, secrets_manager, monkeypatch):
    monkeypatch.setenv("TAP_A_AUTH_USER", CONTENT)
    assert run("push", "--from-env", "--yes")[0] == 0
    assert json.loads(secrets_manager.text(f"{FOLDER}/tap-a")) == {"auth.user": CONTENT}


def test_a_secret_of_variables_takes_the_names_of_a_file(run, secrets_manager, tmp_path):
    file = tmp_path / "proxy"
    file.write_text(f"HTTPS_PROXY={CONTENT}\n")
    options = {"task": "tap-open target-open", "secrets": ["shared/proxy"]}
    argv = ("push", "shared/proxy", "--yes")
    assert run(*argv, "--from-file", str(file), **options)[0] == 0
    assert json.loads(secrets_manager.text(f"{FOLDER}/shared/proxy")) == {"HTTPS_PROXY": CONTENT}
    assert run(*argv, "--from-env", **options)[0] == 2


def test_a_plugin_that_goes_without_gets_an_empty_secret(run, secrets_manager):
    code, out, _ = run("push", "tap-a", "--from-env", "--yes")
    assert (code, secrets_manager.text(f"{FOLDER}/tap-a")) == (0, "{}")
    assert "holds        nothing: its plugin needs no secret" in out


def test_one_that_need_not_be_there_is_not_created_empty(run, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", FULL)
    code, out, _ = run("push", "tap-b", "--from-env", "--yes", task="tap-b target-open")
    assert (code, out) == (0, "no secrets written\n")


def test_without_a_name_none_is_created_empty(run, secrets_manager):
    code, out, _ = run("push", "--from-env", "--yes")
    assert (code, out, secrets_manager.names()) == (0, "no secrets written\n", [])


def test_what_is_no_object_is_not_replaced_unasked(run, secrets_manager, monkeypatch):
    secrets_manager.put(f"{FOLDER}/tap-a", CONTENT)
    monkeypatch.setenv("TAP_A_TOKEN", "new")
    code, out, err = run("push", "--from-env", "--yes")
    assert code == 2
    assert "is not a JSON object: all that it holds is replaced" in out
    assert "which is not a JSON object: confirm it at a terminal" in err
    assert secrets_manager.text(f"{FOLDER}/tap-a") == CONTENT


def test_a_secret_that_may_not_be_read_is_not_written(run, answers, monkeypatch):
    monkeypatch.setenv("TAP_A_TOKEN", CONTENT)
    answers.fail("AccessDeniedException")
    code, _, err = run("push", "--from-env", "--yes")
    assert code == 78
    assert f"'{FOLDER}/tap-a' cannot be read: allow secretsmanager:GetSecretValue on it" in err
    assert [*answers.asked[-1]] == ["SecretIdList"]


@pytest.mark.parametrize("command", ["push", "doctor"])
def test_where_no_task_reads_a_secret_aws_is_not_asked(run, answers, command):
    expected = (0, "no task reads a secret from AWS\n", "")
    assert run(command, task="tap-open target-open") == expected
    assert answers.asked == []


def test_a_secret_that_may_not_be_written_is_named(run, answers, monkeypatch):
    def answer(asked):
        if "SecretIdList" in asked:
            return {}
        answers.status = 400
        return {"__type": "AccessDeniedException"}

    answers.body = answer
    monkeypatch.setenv("TAP_A_TOKEN", CONTENT)
    code, _, err = run("push", "--from-env", "--yes")
    assert code == 78
    assert f"the secret '{FOLDER}/tap-a' was not written: AWS rejects PutSecretValue" in err


def test_the_policies_of_the_guide_allow_what_plan_and_push_do_and_no_more(
    run, answers, monkeypatch
):
    def answer(asked):
        is_put = "SecretId" in asked and "SecretString" in asked
        answers.status = 400 if is_put else 200
        found = [{"Name": each, "SecretString": "{}"} for each in asked.get("SecretIdList", ())]
        other = {"__type": "ResourceNotFoundException"} if is_put else {"Versions": []}
        return {"SecretValues": found, **other}

    answers.body = answer
    monkeypatch.setenv("TAP_A_TOKEN", CONTENT)
    assert run("plan")[0] == 0
    assert run("push", "--from-env", "--yes")[0] == 0
    # A batch gives what GetSecretValue would.
    done = {each.replace(".", ":") for each in answers.actions} | {"secretsmanager:GetSecretValue"}
    guide = (CHECKOUT / "docs/secrets.md").read_text()
    *_, pods, person = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    assert {*re.findall(r"secretsmanager:\w+(?=\")", pods + person)} == done


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (
            ("push", "tap-aa", "--from-env"),
            "no task reads a secret named 'tap-aa'; did you mean 'tap-a'?",
        ),
        (("push", "tap-a"), "there is no terminal to ask at: use --from-file or --from-env"),
        (("push", "tap-a", "--from-env"), "there is no terminal to confirm at: use --yes"),
        (("push", "--from-file", "/nowhere/x"), "No such file or directory: '/nowhere/x'"),
    ],
)
def test_a_push_that_cannot_be_is_told(run, secrets_manager, monkeypatch, argv, hint):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, _, err = run(*argv)
    assert (code, secrets_manager.names()) == (2, [])
    assert hint in err


class Terminal:
    """A real process at a real terminal."""

    def __init__(self, command, environ):
        self.leader, follower = pty.openpty()
        ends = {"stdin": follower, "stdout": follower, "stderr": follower}
        self.process = subprocess.Popen(command, **ends, env=environ, start_new_session=True)
        os.close(follower)
        self.shown = ""
        self.seen = 0

    def wait_for(self, text):
        while text not in self.shown[self.seen :]:
            self.shown += os.read(self.leader, 10_000).decode()
        self.seen = self.shown.index(text, self.seen) + len(text)

    def answer(self, question, line):
        self.wait_for(question)
        os.write(self.leader, f"{line}\n".encode())

    def end(self):
        try:
            while more := os.read(self.leader, 10_000):
                self.shown += more.decode()
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(self.leader)
        assert CONTENT not in self.shown
        return self.process.wait(60)


@pytest.fixture
def terminal(write_project, secrets_manager):
    def start(*argv, task="tap-a target-x"):
        root = write_project(job(task, secrets=["proxy"]), plugins=SECRETS_PLUGINS)
        command = [sys.executable, "-m", "dag_factory.cli", "secrets", *argv]
        environ = {**os.environ, "DAG_FACTORY_SECRETS_PREFIX": "acme", "NO_COLOR": "1"}
        return Terminal([*command, "--project", str(root)], environ)

    return start


def test_the_prompt_asks_for_what_is_missing_and_shows_nothing(terminal, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", {"token": "old"})
    at = terminal("push")
    at.answer("tap-a auth.user (not set; Enter skips it): ", CONTENT)
    at.answer("target-x password (not set; Enter skips it): ", CONTENT)
    at.answer("Write these 2 secrets? [y/N] ", "y")
    assert at.end() == 0
    assert "tap-a token" not in at.shown
    held = json.loads(secrets_manager.text(f"{FOLDER}/tap-a"))
    assert held == {"token": "old", "auth.user": CONTENT}
    assert json.loads(secrets_manager.text(f"{FOLDER}/target-x")) == {"password": CONTENT}


def test_what_a_parent_has_is_not_asked_for(terminal, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", {"token": "t"})
    secrets_manager.put(f"{FOLDER}/tap-b", {})
    at = terminal("push", task="tap-b target-open")
    at.answer("tap-b auth.user (not set; Enter skips it): ", CONTENT)
    at.answer("Write this secret? [y/N] ", "y")
    assert at.end() == 0
    assert "token" not in at.shown
    assert "tap-a" not in at.shown
    assert json.loads(secrets_manager.text(f"{FOLDER}/tap-b")) == {"auth.user": CONTENT}


def test_a_named_secret_is_asked_for_whole_and_enter_leaves_a_value(terminal, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", {"token": "old", "auth.user": "me"})
    at = terminal("push", "tap-a")
    at.answer("tap-a token (set; Enter keeps it): ", CONTENT)
    at.answer("tap-a auth.user (set; Enter keeps it): ", "")
    at.answer("Write this secret? [y/N] ", "y")
    assert at.end() == 0
    held = json.loads(secrets_manager.text(f"{FOLDER}/tap-a"))
    assert held == {"token": CONTENT, "auth.user": "me"}


def test_the_variables_of_a_secret_are_asked_for_by_name(terminal, secrets_manager):
    at = terminal("push", "proxy")
    at.answer("proxy: name of a variable (Enter ends): ", "HTTPS_PROXY")
    at.answer("proxy HTTPS_PROXY (Enter skips it): ", CONTENT)
    at.answer("proxy: name of a variable (Enter ends): ", "")
    at.answer("Write this secret? [y/N] ", "y")
    assert at.end() == 0
    assert json.loads(secrets_manager.text(f"{FOLDER}/proxy")) == {"HTTPS_PROXY": CONTENT}


def test_who_does_not_say_yes_writes_nothing(terminal, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", "no object")
    at = terminal("push", "tap-a")
    at.answer("tap-a token (not set; Enter skips it): ", CONTENT)
    at.answer("tap-a auth.user (not set; Enter skips it): ", "")
    at.answer("Write this secret? [y/N] ", "")
    assert at.end() == 1
    assert "all that it holds is replaced" in at.shown
    assert "nothing was written" in at.shown
    assert secrets_manager.text(f"{FOLDER}/tap-a") == "no object"


def test_who_says_yes_replaces_what_is_no_object(terminal, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", "no object")
    at = terminal("push", "tap-a")
    at.answer("tap-a token (not set; Enter skips it): ", CONTENT)
    at.answer("tap-a auth.user (not set; Enter skips it): ", "")
    at.answer("Write this secret? [y/N] ", "y")
    assert at.end() == 0
    assert json.loads(secrets_manager.text(f"{FOLDER}/tap-a")) == {"token": CONTENT}


def test_an_interrupted_prompt_writes_nothing_and_shows_no_traceback(terminal, secrets_manager):
    at = terminal("push", "tap-a")
    at.wait_for("tap-a token")
    at.process.send_signal(signal.SIGINT)
    assert at.end() == 1
    assert at.shown.endswith("nothing was written\r\n")
    assert "Traceback" not in at.shown
    assert secrets_manager.names() == []


def test_doctor_finds_nothing_wrong(run, secrets_manager):
    secrets_manager.put(f"{FOLDER}/tap-a", FULL)
    code, out, _ = run("doctor")
    assert code == 0
    assert re.fullmatch(
        r"ok     Secrets Manager, asked by arn:aws:sts::\S+ in eu-west-1\n"
        rf"ok     {FOLDER}/tap-a\n",
        out,
    )


def test_doctor_prints_once_what_the_policy_lacks(run, answers):
    answers.fail("AccessDeniedException")
    code, out, _ = run("doctor", task="tap-a target-x")
    assert code == 1
    shown, _, policy = out.partition("\nThe policy of the role lacks:\n")
    assert shown.count("\nwrong  acme/dev/meltano/t") == 2
    assert json.loads(policy) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": f"arn:aws:secretsmanager:eu-west-1:ACCOUNT:secret:{FOLDER}/*",
            }
        ],
    }
