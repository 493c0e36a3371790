"""The API's description (OpenAPI 3.1), made from the contracts, and the page that shows it without the internet."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from bentos.contracts import PredictRequest, RecordActualRequest
from services.answer import ErrorBody, Prediction, Recorded

REF = "#/components/schemas/{model}"

# BentoML bundles Swagger UI and serves it under static_content; its own index page also loads a tracker, so not that.
DOCS_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Halftime forecaster</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css">
<link rel="icon" href="./static_content/favicon-light-32x32.png"></head>
<body><div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "./openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null});</script>
</body></html>
"""

_EXAMPLES: dict[str, dict[str, Any]] = {
    "PredictRequest": {
        "pattern": [2, 4, 3, 3, 5, 7, 6, 8, 9, 9, 7, 8, 10, 12, 11, 9, 8, 10],
        "alpha": 0.05,
        "home": "BOS",
        "away": "NYK",
        "date": "2023-02-03",
        "possession": "away",
        "above": [5.5, 10.5],
        "levels": [0.99],
    },
    "RecordActualRequest": {"game_id": "0022200776", "actual_differential": 7},
}
_ERRORS = {
    400: "the request cannot be served as it is; the sentence says what to change",
    401: "this needs the key that the operator has set: send Authorization: Bearer KEY",
    403: "no key is set, so this is for the forecaster's own machine alone",
    404: "unknown game",
    409: "contradicts what was sent before",
    413: "the body is larger than 16 KiB",
    415: "the body is not JSON",
    421: "asked under a name that this service does not have",
    503: "not now: no model, busy, too slow, disk full or database down; see Retry-After",
}
_PAGES = {
    "/model": "The model being served: version, digest, source of its games, what it was trained through, its figures",
    "/metrics/summary": "How the official forecasts did, from the database",
    "/health": "What works and what does not, for people; never waits for the database",
    "/livez": "200 while the process answers",
    "/readyz": "200 once the model is loaded and checked and the spool can be written",
    "/metrics": "Counters for Prometheus, summed over all workers",
}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    models = (PredictRequest, RecordActualRequest, Prediction, Recorded, ErrorBody)
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Halftime forecaster",
            "version": "1",
            "description": "Forecasts the margin at halftime (home minus away, points) of an NBA game being played.",
        },
        "servers": [{"url": "."}],
        "paths": {
            "/predict": _post(
                "Forecast the margin at halftime", PredictRequest, Prediction, (400, 409, 413, 415, 421, 503), key=True
            ),
            "/record_actual": _post(
                "Record a game's margin at halftime and settle its official forecasts",
                RecordActualRequest,
                Recorded,
                (400, 401, 403, 404, 409, 413, 415, 421, 503),
            ),
            **{
                path: {"get": {"summary": text, "responses": {"200": {"description": "OK"}}}}
                for path, text in _PAGES.items()
            },
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _post(summary: str, takes: type, gives: type, errors: tuple[int, ...], *, key: bool = False) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "requestBody": {"required": True, "content": _json(takes, _EXAMPLES[takes.__name__])},
        "responses": {"200": {"description": "OK", "content": _json(gives)}}
        | {str(code): {"description": _ERRORS[code], "content": _json(ErrorBody)} for code in errors},
    }
    if key:
        operation["parameters"] = [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"},
                "description": "the same key and body answer the same prediction, as often as they are sent",
            }
        ]
    return {"post": operation}


def _json(model: type, example: dict[str, Any] | None = None) -> dict[str, Any]:
    described: dict[str, Any] = {"schema": {"$ref": REF.format(model=model.__name__)}}
    return {"application/json": described | ({"example": example} if example else {})}
