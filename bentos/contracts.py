"""Requests as the API takes them, and the record of what it answered.

Validation is strict: a string is not a number, a boolean is not one either, an unknown field is a mistake. Every
refusal becomes a sentence that says what to change, never the wording of a library.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID, uuid4, uuid5

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from bentos.strict_json import NotStrictJSONError, parse_object
from models.clock import HALFTIME_MINUTE, OFFICIAL_MINUTE
from models.forecast import MAX_MARGIN
from services.answer import Prediction, Problem

MAX_JUMP = 30.0
MAX_ABOVE = 20
MAX_LEVELS = 10
GAME_ID = r"^00[1-6][0-9]{7}$"
TRICODE = r"^[A-Z]{3}$"
KEPT_OF_DISTRIBUTION = ("first", "probabilities", "intervals")
DIGEST = r"^[0-9a-f]{64}$"
REQUEST_ID = r"^[A-Za-z0-9._:-]{1,128}$"
PREDICTIONS = UUID("5bd2d7f1-6c0c-5e0e-9f3b-8d3f5a1c7e11")


def _day(value: object) -> object:
    """A date as JSON writes it; anything that is no such text is left to the type to refuse."""
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) and len(value) == len("2023-02-03") else value
    except ValueError:
        return value


Margin = Annotated[float, Field(ge=-MAX_MARGIN, le=MAX_MARGIN)]
Level = Annotated[float, Field(gt=0, lt=1)]
GameId = Annotated[str, Field(pattern=GAME_ID, description="NBA game id: 00, 1 to 6, then seven digits")]
Tricode = Annotated[str, Field(pattern=TRICODE, description="three capital letters, as BOS")]
LeagueDate = Annotated[dt.date, BeforeValidator(_day)]
Digest = Annotated[str, Field(pattern=DIGEST)]
RequestId = Annotated[str, Field(pattern=REQUEST_ID, description="1 to 128 letters, digits or . _ : -")]


class RequestRefused(ValueError):
    """A request that cannot be served honestly. ``status`` is the HTTP status, ``sentence`` what to change."""

    def __init__(self, status: int, sentence: str, problems: Sequence[Problem] = (), retry_after_s: int = 0) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.problems = status, sentence, tuple(problems)
        self.retry_after_s = retry_after_s


class Request(BaseModel):
    """Strict: no coercion, no NaN, no unknown field."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class PredictRequest(Request):
    """A pattern of a live game and how sure the interval shall be.

    Margins are home minus away in points at the end of minutes 1..m. Send ``home`` and ``away`` together, or neither.
    With ``request_id`` (or the header Idempotency-Key) the same request answers the same bits as often as it is sent.
    """

    pattern: list[Margin] = Field(
        max_length=HALFTIME_MINUTE,
        description="margin(1)..margin(m), home minus away; 18 numbers for the official forecast at 6:00 of Q2",
        examples=[[2, 4, 3, 3, 5, 7, 6, 8, 9, 9, 7, 8, 10, 12, 11, 9, 8, 10]],
    )
    alpha: float = Field(default=0.05, gt=0, lt=1, description="miss rate of the interval: 0.05 asks for 95%")
    game_id: GameId | None = None
    home: Tricode | None = None
    away: Tricode | None = None
    minute: int | None = Field(
        default=None, ge=0, le=HALFTIME_MINUTE - 1, description="minutes played; absent means 18"
    )
    date: LeagueDate | None = Field(
        default=None,
        description="league date of the game (US Eastern), as 2023-02-03, after every game the model's ratings know; it"
        " counts with the teams alone",
    )
    possession: Literal["home", "away"] | None = Field(
        default=None, description="who has the ball when the minute ends; absent when nobody has or nobody knows"
    )
    above: list[Margin] = Field(
        default_factory=list, max_length=MAX_ABOVE, description="margins x to answer P(halftime margin > x) for"
    )
    levels: list[Level] = Field(
        default_factory=list, max_length=MAX_LEVELS, description="further intervals: 0.99 asks for a 99% interval"
    )
    model_digest: Digest | None = Field(
        default=None, description="answer with the model of this digest: a game keeps the one of its first forecast"
    )
    request_id: RequestId | None = None

    @property
    def asked_minute(self) -> int:
        """The minute the forecast is made at."""
        return OFFICIAL_MINUTE if self.minute is None else self.minute

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if len(self.pattern) != self.asked_minute:
            raise _wrong(
                "pattern",
                f"has {len(self.pattern)} margins, minute {self.asked_minute} needs exactly {self.asked_minute}: send"
                f" margin(1)..margin({self.asked_minute}), or set minute to the minutes that have been played",
            )
        for place, (before, margin) in enumerate(zip([0.0, *self.pattern], self.pattern, strict=False)):
            if abs(margin - before) > MAX_JUMP:
                raise _wrong(
                    f"pattern[{place}]",
                    f"jumps by {abs(margin - before):g} points within one minute, more than {MAX_JUMP:g}: no game does"
                    " that; send the margin at the end of every minute, home minus away",
                )
        if (self.home is None) != (self.away is None):
            missing = "home" if self.home is None else "away"
            raise _wrong(missing, "is missing: send both teams, or neither")
        if self.home is not None and self.home == self.away:
            raise _wrong("away", f"is {self.away} as home is: a team does not play itself")
        return self


class RecordActualRequest(Request):
    """The margin at halftime, home minus away, of a game that has an official forecast."""

    game_id: GameId
    actual_differential: int = Field(ge=-int(MAX_MARGIN), le=int(MAX_MARGIN), examples=[7])


R = TypeVar("R", bound=Request)


def read_request(model: type[R], body: bytes) -> R:
    """The typed request in ``body``. Raises RequestRefused (400)."""
    try:
        return model.model_validate(parse_object(body))
    except NotStrictJSONError as error:
        raise RequestRefused(400, str(error)) from error
    except ValidationError as error:
        problems = [_problem(model, item) for item in error.errors(include_url=False)[:10]]
        first = problems[0]
        rest = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise RequestRefused(400, f"{first.field} {first.problem}{rest}.", problems) from error


def identify(request: PredictRequest, header_key: str | None) -> tuple[str, UUID]:
    """(request id, prediction id): the second follows from the first, so a retry names the same prediction.

    Raises RequestRefused (400) when the header and the body name different requests.
    """
    if header_key is not None and request.request_id is not None and header_key != request.request_id:
        raise RequestRefused(400, "Idempotency-Key and request_id differ: send one of them, or the same text in both.")
    request_id = request.request_id or header_key or str(uuid4())
    return request_id, uuid5(PREDICTIONS, request_id)


def prediction_row(request: PredictRequest, response: Prediction) -> dict[str, Any]:
    """The row of table ``predictions``, as ``PredictionRow.to_json`` writes it: all that computes the same bits again.

    ``components`` also keeps the similar games and the distribution with its intervals, so that what was shown can be
    shown again; what was asked of the distribution beyond that follows from it.
    """
    body = response.model_dump(mode="json")
    distribution = {name: body["distribution"][name] for name in KEPT_OF_DISTRIBUTION}
    return {
        "id": body["prediction_id"],
        "request_id": response.request_id,
        "game_id": response.game_id,
        "minute": response.minute,
        "pattern": list(request.pattern),
        "home": response.context.home,
        "away": response.context.away,
        "context": body["context"],
        "alpha": response.alpha,
        "point": response.point_forecast,
        "lower": response.interval_lower,
        "upper": response.interval_upper,
        "components": body["explanation"] | {"distribution": distribution},
        "model_version": response.model_version,
        "model_digest": response.model_digest,
        "calibration_id": response.calibration_id,
        "code_version": response.code_version,
        "created_at": response.timestamp.isoformat(),
    }


def _wrong(field: str, problem: str) -> PydanticCustomError:
    return PydanticCustomError("halftime", "{problem}", {"field": field, "problem": problem})


_SENTENCES: Mapping[str, str] = {
    "missing": "is missing: it must be sent",
    "float_type": "must be a number, not a string, boolean or null",
    "int_type": "must be a whole number, not a string, boolean or null",
    "int_from_float": "must be a whole number without a decimal point",
    "string_type": "must be a string",
    "list_type": "must be an array of numbers",
    "finite_number": "must be a finite number",
    "date_type": "must be a date that exists, as 2023-02-03",
    "literal_error": "must be home or away, the team that has the ball; leave it out when nobody has",
}
_PATTERNS: Mapping[str, str] = {
    "game_id": "must be an NBA game id: 00, a digit 1 to 6, then seven digits, as 0022200776",
    "home": "must be a team's three capital letters, as BOS",
    "away": "must be a team's three capital letters, as BOS",
    "model_digest": "must be a model's digest, 64 hex digits, as answers carry it",
    "request_id": "must be 1 to 128 letters, digits or . _ : -",
}


def _problem(model: type[Request], item: ErrorDetails) -> Problem:
    """One validation error as field and sentence; what the sender wrote is not repeated, except names and lengths."""
    context = item.get("ctx", {})
    kind, location = item["type"], item["loc"]
    if kind == "halftime":
        return Problem(field=str(context["field"]), problem=str(context["problem"]))
    field = "".join(f"[{part}]" if isinstance(part, int) else str(part)[:40] for part in location) or "body"
    if kind == "extra_forbidden":
        known = ", ".join(model.model_fields)
        shown = field if field.isprintable() and field.isascii() else "a field"
        return Problem(field=shown, problem=f"is not a known field: known are {known}")
    if kind == "string_pattern_mismatch":
        return Problem(field=field, problem=_PATTERNS.get(field, "has the wrong form"))
    if kind == "too_long":
        return Problem(field=field, problem=f"has {context['actual_length']} entries, at most {context['max_length']}")
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return Problem(field=field, problem=f"must lie {_range(str(location[0]))}")
    return Problem(field=field, problem=_SENTENCES.get(kind, "is not usable: see /docs for its form"))


def _range(field: str) -> str:
    if field == "alpha":
        return "strictly between 0 and 1: 0.05 asks for a 95% interval"
    if field == "levels":
        return "strictly between 0 and 1: 0.9 asks for a 90% interval"
    if field == "minute":
        return f"in 0..{HALFTIME_MINUTE - 1}: the minutes that have been played"
    return f"in -{MAX_MARGIN:g}..{MAX_MARGIN:g} points, home minus away"
