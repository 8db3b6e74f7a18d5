"""`edgeward bench hash`: the document that the contract names, with figures that hang together."""

import json

import pytest
from typer.testing import CliRunner

from edgeward.cli import app


@pytest.fixture(scope="module")
def document() -> dict:
    done = CliRunner().invoke(app, ["bench", "hash", "--seconds", "0.5", "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_bench_hash_names_every_kernel_with_the_keys_of_the_contract(document: dict):
    assert document["cpu"]
    keys = {"name", "hashes_per_s", "ratio_to_hashlib", "share_of_limit", "joules_per_hash", "chosen"}
    assert all(each.keys() == keys for each in document["kernels"])
    assert "hashlib" in [each["name"] for each in document["kernels"]]


def test_bench_hash_chooses_one_and_hashlib_is_once_itself(document: dict):
    assert sum(each["chosen"] for each in document["kernels"]) == 1
    (hashlib,) = (each for each in document["kernels"] if each["name"] == "hashlib")
    assert (hashlib["ratio_to_hashlib"], hashlib["share_of_limit"]) == (1.0, None)


def test_bench_hash_states_no_more_than_the_limit_and_no_joules_that_nobody_measured(document: dict):
    for each in document["kernels"]:
        assert each["share_of_limit"] is None or 0 < each["share_of_limit"] <= 1.1
        assert each["joules_per_hash"] is None


def test_bench_hash_as_a_table_marks_the_chosen_one():
    done = CliRunner().invoke(app, ["bench", "hash", "--seconds", "0.5"])
    assert done.exit_code == 0
    assert done.stdout.count("chosen") == 1
