import json
import logging

import pytest

from dag_factory.meltano_process.log import LastError, RowCounts, read_log_line


def plugin(event, name="tap-a", level="info"):
    return json.dumps({"stdio": "stderr", "name": name, "event": event, "level": level})


def meltano(event, level="error", **fields):
    return json.dumps({"event": event, "level": level, **fields})


def last_error(*lines):
    error = LastError()
    for line in lines:
        error.note(read_log_line(line))
    return error.text


def test_a_line_of_a_plugin_names_the_plugin():
    entry = read_log_line(plugin("Beginning sync", level="debug") + "\n")
    assert (entry.text, entry.level) == ("tap-a: Beginning sync", logging.DEBUG)


def test_an_exception_of_meltano_is_told_in_one_line():
    line = meltano("", exception=[{"exc_type": "OSError", "exc_value": "disk full"}])
    assert read_log_line(line).text == "OSError: disk full"


def test_what_is_not_json_is_kept():
    assert read_log_line("Error: Block nope not found\n").level == logging.ERROR
    assert read_log_line("[1]").text == "[1]"
    assert read_log_line("hello").level == logging.INFO


def test_the_plugins_own_error_comes_before_meltanos():
    assert (
        last_error(
            plugin("  File x"),
            plugin("requests.exceptions.HTTPError: 401 Unauthorized"),
            meltano("Block run completed"),
            meltano("Run invocation could not be completed as block failed: Extractor failed"),
        )
        == "tap-a: requests.exceptions.HTTPError: 401 Unauthorized"
    )


def test_a_plugin_with_structured_logs_is_believed_by_its_level():
    assert (
        last_error(
            plugin("An unhandled error occurred", level="error"),
            plugin("the password is wrong", level="critical"),
            plugin("0 records"),
            meltano("Block run completed", err="Extractor failed"),
        )
        == "tap-a: the password is wrong"
    )


def test_json_that_is_no_line_of_meltanos_log_is_kept():
    assert read_log_line('{"singer_state": {}}\n').text == '{"singer_state": {}}'


def test_a_metric_keeps_its_value():
    metric = {"metric": "record_count", "value": 249}
    line = json.dumps(
        {"stdio": "stderr", "name": "tap-a", "event": "METRIC", "metric_info": metric}
    )
    assert read_log_line(line).message == 'METRIC: {"metric": "record_count", "value": 249}'


def test_the_last_exception_of_a_chain_counts():
    assert last_error(plugin("KeyError: 'x'"), plugin("ConfigError: no x")).endswith("no x")


def test_a_broken_pipe_is_the_echo_of_another_error():
    assert (
        last_error(
            plugin("BrokenPipeError: [Errno 32] Broken pipe"),
            plugin("duckdb.IOException: no space", name="target-x"),
            meltano("", exception=[{"exc_type": "BrokenPipeError", "exc_value": ""}]),
        )
        == "target-x: duckdb.IOException: no space"
    )


def test_without_a_plugins_error_meltanos_own_last_one_counts():
    assert (
        last_error(meltano("first"), meltano("second"), meltano("more", level="info")) == "second"
    )


def test_an_error_that_a_plugin_got_over_is_not_the_reason():
    assert (
        last_error(
            plugin("ERROR 503, trying again"),
            plugin("duckdb.IOException: no space left", name="target-x"),
        )
        == "target-x: duckdb.IOException: no space left"
    )


@pytest.mark.parametrize(
    "line",
    ['{"event": "x", "exception": true}', '{"stdio": 1}', "[" * 100_000, '{"level": 3}', "{}", "",
     '{"event": ["x"], "exception": [3]}', '{"exception": "Traceback"}'],
)  # fmt: skip
def test_no_line_of_a_log_can_fail_a_task(line):
    assert read_log_line(line).level == logging.INFO


def test_a_log_without_error_has_none():
    assert last_error(plugin("all is well")) is None


def counter(source, stream, value, key="stream"):
    """Return a line as Meltano logs what a plugin of Singer's SDK measures."""
    metric = {"type": "counter", "metric": "record_count", "value": value, "tags": {key: stream}}
    return json.dumps(
        {
            "stdio": "stderr",
            "name": source,
            "event": "METRIC",
            "metric_info": metric,
            "level": "info",
        }
    )


def rows(*lines):
    counts = RowCounts(["tap-a"])
    for line in lines:
        counts.note(read_log_line(line))
    return counts.rows


def test_rows_are_those_that_the_extractor_sent():
    sent = [counter("tap-a", "users", 3), counter("tap-a", "users", 4), counter("tap-a", "x", 0)]
    assert rows(*sent, counter("target-x", "users", 6)) == {"users": 7, "x": 0}


def test_where_no_extractor_counts_the_loader_does():
    assert rows(counter("target-x", "users", 6)) == {"users": 6}


def test_a_stream_that_a_mapper_renames_counts_once():
    assert rows(counter("tap-a", "users", 7), counter("target-x", "people", 7)) == {"users": 7}


def test_a_log_without_info_holds_no_counts():
    counts = RowCounts(["tap-a"])
    counts.note(read_log_line(meltano("x", level="warning")))
    assert not counts.possible
    counts.note(read_log_line(meltano("x", level="info")))
    assert counts.possible


def test_the_older_form_of_a_metric_counts_too():
    metric = {"type": "counter", "metric": "record_count", "value": 2, "tags": {"endpoint": "u"}}
    event = f"INFO METRIC: {json.dumps(metric)}"
    assert rows(json.dumps({"stdio": "stderr", "name": "tap-a", "event": event})) == {"u": 2}


@pytest.mark.parametrize(
    "event", ["INFO METRIC: {", "METRIC: 3", 'METRIC: {"metric": "record_count"}', "hello"]
)
def test_what_is_no_count_is_none(event):
    assert rows(json.dumps({"stdio": "stderr", "name": "tap-a", "event": event})) is None
