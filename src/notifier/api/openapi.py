"""The OpenAPI document: what FastAPI cannot know of it."""

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from notifier.api.problems import documented
from notifier.api.schemas.examples import EXAMPLES
from notifier.api.schemas.problem import Problem

COMPONENT = "#/components/schemas/{model}"
OF_A_BODY = (400, 413, 415)


def operation_id(route: APIRoute) -> str:
    """Return the name that generated clients give to the call, such as `notifications_create`."""
    return f"{route.tags[0]}_{route.name}".replace(" ", "_") if route.tags else route.name


def install(app: FastAPI) -> None:
    """Have the app's document completed when it is first asked for."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(made())
        assert app.openapi_schema is not None  # noqa: S101 - FastAPI keeps what it made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI documents


def _complete(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template=COMPONENT)
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    for name in EXAMPLES.keys() & schemas.keys():
        schemas[name]["examples"] = EXAMPLES[name]
    for operation in _operations(document):
        _complete_operation(operation)


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _complete_operation(operation: dict[str, Any]) -> None:
    # the first sentence; a full stop within a word ends none
    operation["summary"] = re.split(r"\.(?:\s|$)", operation["description"], maxsplit=1)[0]
    responses = operation["responses"]
    if "requestBody" in operation:
        responses |= {str(status): problem for status, problem in documented(*OF_A_BODY).items()}
    operation["responses"] = dict(sorted(responses.items()))
