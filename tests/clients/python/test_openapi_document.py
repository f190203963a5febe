"""docs/openapi.json is an OpenAPI 3.1 document in which a validator that is not ours finds nothing wrong. What the hub makes of it: test_openapi.py."""

import copy

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator


def faults(document):
    return [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]


@pytest.fixture
def document(hub):
    return hub.get("/openapi.json")


def test_the_validator_finds_nothing(document):
    assert document["openapi"].startswith("3.1.")
    assert faults(document) == []


@pytest.mark.parametrize("break_it", [
    lambda document: document["paths"]["/v1/tasks/{task}"]["get"]["responses"]["200"].pop("description"),
    lambda document: document["paths"]["/v1/tasks/{task}"].pop("parameters"),
    lambda document: document["paths"]["/v1/tasks"]["get"].update(operationId="listRejects"),
    lambda document: document["components"]["schemas"]["Problem"].update(type="nonsense"),
], ids=["no description", "no parameter for a part of the path", "an operation twice", "no type"])  # fmt: skip
def test_a_document_that_is_wrong_is_found_so(document, break_it):
    wrong = copy.deepcopy(document)
    break_it(wrong)
    assert faults(wrong) != []
