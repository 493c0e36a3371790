"""The API's description agrees with what the service takes."""

from __future__ import annotations

import json
import re
from typing import Any

from bentos.contracts import PredictRequest, RecordActualRequest, read_request
from bentos.edge import BODIES
from bentos.instruments import ROUTES
from bentos.openapi import DOCS_PAGE, document


def test_every_example_is_a_request_the_service_takes() -> None:
    paths = document()["paths"]
    for path, model in BODIES.items():
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        read_request(model, json.dumps(content["example"]).encode())


def test_every_reference_is_defined_and_every_path_has_its_own_label() -> None:
    described = document()
    references = re.findall(r"#/components/schemas/(\w+)", json.dumps(described))
    assert set(references) <= set(described["components"]["schemas"])
    assert set(described["paths"]) <= set(ROUTES)


def test_schema_tells_the_limits_of_each_field() -> None:
    schemas: dict[str, Any] = document()["components"]["schemas"]
    assert set(schemas["PredictRequest"]["properties"]) == set(PredictRequest.model_fields)
    assert schemas["PredictRequest"]["properties"]["pattern"]["items"] == {
        "type": "number",
        "minimum": -100,
        "maximum": 100,
    }
    assert schemas["PredictRequest"]["additionalProperties"] is False
    assert set(schemas["RecordActualRequest"]["required"]) == set(RecordActualRequest.model_fields)


def test_page_needs_nothing_from_elsewhere() -> None:
    assert "//" not in DOCS_PAGE
